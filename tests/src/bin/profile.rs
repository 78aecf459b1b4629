//! Boots an flist and leaves beside it the profile of what the boot read.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use argh::FromArgs;
use flist::fuse::PROFILED_READAHEAD_KIB;
use flist::profile::Profile;
use tests::lab::Server;
use tests::vm::Machine;
use tests::{inbox, out};

/// How long a boot and the quiet after it may take under software emulation on a busy machine.
const LIMIT: Duration = Duration::from_secs(600);

/// Boot NAME.flist in qemu and leave NAME.profile beside it: what the boot read, in order, until
/// nothing new was read for 15 seconds.
#[derive(FromArgs)]
#[argh(
    name = "scripts/profile",
    note = "`zimg build --profile NAME.profile` lays that first, to be fetched ahead of need.",
    example = "{command_name} www/debian.flist"
)]
struct Args {
    /// the flist; packs/ lies beside it
    #[argh(positional)]
    flist: PathBuf,
    /// memory of the machine in MiB (default 1024)
    #[argh(option, default = "1024")]
    memory: u32,
    /// further kernel arguments
    #[argh(option, default = "String::new()")]
    append: String,
}

fn main() -> ExitCode {
    match run(&argh::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scripts/profile: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let flist = args.flist.canonicalize().with_context(|| args.flist.display().to_string())?;
    let server = Server::start(flist.parent().context("a folder")?, "127.0.0.1:0")?;
    let (port, posted) = inbox::listen_anywhere()?;
    let arguments = format!(
        "{} zimg.prefetch=off zimg.readahead={PROFILED_READAHEAD_KIB} zimg.profile.post=http://10.0.2.2:{port}/ {}",
        server.arguments_of(&flist)?,
        args.append
    );
    let (kernel, initramfs) = (out::built("vmlinuz")?, out::built("initramfs.img")?);
    let mut machine = Machine::new(&kernel, &initramfs, &arguments);
    machine.memory = args.memory;
    let vm = machine.start()?;
    let posted = posted.recv_timeout(LIMIT);
    let posted =
        posted.with_context(|| format!("no profile came. The console:\n{}", vm.console()))?;
    ensure!(vm.console().contains("zimg: boot:"), "it did not boot:\n{}", vm.console());
    let profile = Profile::parse(posted.body.as_bytes())?;
    let path = flist.with_extension("profile");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let folder = flist.parent().context("a folder")?;
    let mut file = tempfile::Builder::new().permissions(mode).tempfile_in(folder)?;
    std::io::Write::write_all(&mut file, posted.body.as_bytes())?;
    file.persist(&path)?;
    let bytes: u64 = profile.needs().iter().map(|need| need.range.end - need.range.start).sum();
    println!("{}: {bytes} bytes in {} ranges", path.display(), profile.needs().len());
    Ok(())
}
