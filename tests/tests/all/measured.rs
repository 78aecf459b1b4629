//! Boots of machines with a TPM: what its register holds is what the event log says, and that is what
//! was booted.

use std::process::Command;

use flist::trust::PublicKey;
use tests::lab::Server;
use tests::root::run;
use tests::tpm::{self, BANKS, Event, Tpm};
use tests::vm::{ALWAYS, Machine, Vm};
use tests::{images, out, refusal::LIMIT};

type Result = anyhow::Result<()>;

const LOG: &str = "/run/zimg/tpm2-eventlog";

/// Boots to the shell of an image that has no init.
fn boot(arguments: &str, tpm: Option<(&Tpm, &str)>) -> anyhow::Result<Vm> {
    let machine = Machine::new(&out::built("vmlinuz")?, &out::built("initramfs.img")?, arguments);
    let args = tpm.map(|(tpm, kind)| tpm.args(kind)).unwrap_or_default();
    let mut vm = Machine { args, ..machine }.start()?;
    vm.wait_for("zimg: boot:", LIMIT)?;
    vm.wait_for("# ", LIMIT)?;
    vm.settle(LIMIT)?;
    Ok(vm)
}

/// Boots with a TPM of this kind, and sees that its register, the event log and another's reading of it are
/// the same in all banks. Returns the events, and the register in SHA-256.
fn measured(arguments: &str, kind: &str) -> anyhow::Result<(Vec<Event>, String)> {
    let tpm = Tpm::start()?;
    let mut vm = boot(arguments, Some((&tpm, kind)))?;
    let printed = vm.must(&format!("busybox base64 {LOG}"), LIMIT)?;
    let dir = tempfile::tempdir()?;
    let (text, path) = (dir.path().join("text"), dir.path().join("log"));
    std::fs::write(&text, printed)?;
    std::fs::write(&path, run(Command::new("base64").arg("--decode").arg(&text))?)?;
    let (events, shown) = (tpm::events(&std::fs::read(&path)?)?, tpm::shown(&path)?.to_lowercase());
    assert!(events.iter().all(|event| event.pcr == 13), "{events:?}");
    let mut register = String::new();
    for (algorithm, name, _) in BANKS {
        let held = vm.must(&format!("cat /sys/class/tpm/tpm0/pcr-{name}/13"), LIMIT)?;
        register = held.trim().to_lowercase();
        assert_eq!(tpm::replay(&events, algorithm)?, register, "{name}");
        assert!(shown.contains(&format!("0x{register}")), "{name}: {shown}");
    }
    Ok((events, register))
}

fn texts(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect()
}

#[test]
fn the_register_holds_what_was_booted() -> Result {
    let _lab = images::lab()?;
    let dir = tempfile::tempdir()?;
    let zimg =
        |args: &[&str]| run(Command::new(out::built("zimg")?).current_dir(dir.path()).args(args));
    let root = images::folder()?.join("bare").display().to_string();
    zimg(&["keygen", "ann", "--no-password"])?;
    zimg(&["build", &root, "a.flist", "--sign", "ann.key", "--name", "a", "--version", "1"])?;
    let _server = Server::start(dir.path(), "127.0.0.1:8080")?;
    let key = std::fs::read_to_string(dir.path().join("ann.pub"))?;
    let id = PublicKey::parse(key.as_bytes())?.id();
    let hash = flist::id::RootHash::of(&std::fs::read(dir.path().join("a.flist"))?);

    let url = "zimg.url=http://10.0.2.2:8080/a.flist";
    let signed = format!("{url} zimg.key={}", key.lines().last().unwrap_or_default());
    let (events, register) = measured(&signed, "tpm-tis")?;
    let line = |arguments: &str| format!("zimg command-line {ALWAYS} {arguments}");
    let image = format!("zimg root-hash {hash}");
    let want = [line(&signed), image.clone(), format!("zimg signers {id}")];
    assert_eq!(texts(&events), want);

    // Another command line, of more bytes than one command carries, and a root hash in the key's place.
    let pinned = format!("{url} zimg.hash={hash} pad={}", "x".repeat(1500));
    let (events, other) = measured(&pinned, "tpm-crb")?;
    assert_eq!(texts(&events), [line(&pinned), image, "zimg signers none".to_owned()]);
    assert_ne!(register, other);
    Ok(())
}

#[test]
fn without_a_tpm_nothing_is_measured_and_the_boot_goes_on() -> Result {
    let _lab = images::lab()?;
    let _server = Server::start(images::folder()?, "127.0.0.1:8080")?;
    let mut vm = boot(&images::arguments("bare.flist", 8080)?, None)?;
    let (_, status) = vm.run(&format!("cat {LOG}"), LIMIT)?;
    assert_ne!(status, 0, "{}", vm.console());
    assert!(vm.must("busybox dmesg", LIMIT)?.contains("no TPM 2.0: nothing is measured"));
    vm.must("cat /run/zimg/root-hash", LIMIT)?;
    Ok(())
}
