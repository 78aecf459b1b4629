//! `initramfs`: assembles zimg's initramfs from the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use argh::FromArgs;
use initramfs::Plan;

/// Assembles zimg's initramfs: PID 1, kernel modules with what they depend on, configuration.
/// The same inputs give the same bytes.
#[derive(FromArgs, Debug)]
#[argh(
    example = "The initramfs of a virtual machine:
  initramfs --init out/init --output initramfs.img --kernel-modules /lib/modules/$(uname -r)",
    example = "With one driver more, and a file of zimg.* values:
  initramfs --init out/init --output initramfs.img --modules vm,nbd \\
      --kernel-modules /lib/modules/6.12.0 --config node.conf",
    example = "For a kernel that has all it needs built in, trusting a private CA:
  initramfs --init out/init --output initramfs.img --modules none --add ca.pem=/etc/zimg/ca.pem",
    example = "That boots only what was signed:
  initramfs --init out/init --output initramfs.img --key fleet.pub \\
      --kernel-modules /lib/modules/$(uname -r)",
    note = "The image ends at a multiple of 4 bytes, so an archive of local files can follow it:
  find etc | cpio -o -H newc | cat initramfs.img - > node.img",
    error_code(0, "The image is written."),
    error_code(1, "Something given cannot be used; nothing is written."),
    error_code(2, "The options are wrong.")
)]
struct Options {
    /// the program that becomes /init: zimg's `init`, or another static program. FILE.licenses.txt beside
    /// it comes along as /LICENSES.txt
    #[argh(option, arg_name = "FILE")]
    init: PathBuf,

    /// where the image goes
    #[argh(option, arg_name = "FILE")]
    output: PathBuf,

    /// where the image's SBOM goes: CycloneDX 1.5, JSON, of which FILE.cdx.json beside the program for
    /// /init becomes a part
    #[argh(option, arg_name = "FILE")]
    sbom: Option<PathBuf>,

    /// modules to carry: names separated by commas; `vm` stands for the drivers of virtual
    /// machines (absent ones are passed over), `none` for no modules. Default: vm
    #[argh(option, arg_name = "LIST", default = "String::from(\"vm\")")]
    modules: String,

    /// the kernel's modules: its directory lib/modules/RELEASE
    #[argh(option, arg_name = "DIR")]
    kernel_modules: Option<PathBuf>,

    /// a configuration file, which becomes /etc/zimg/10-NAME.conf; repeatable, then 11, 12, ...
    #[argh(option, arg_name = "FILE")]
    config: Vec<PathBuf>,

    /// a public key, NAME.pub of `zimg keygen` or minisign: only images that it signed are booted then;
    /// repeatable: any of them, or as many as zimg.signatures= in a --config says
    #[argh(option, arg_name = "FILE")]
    key: Vec<PathBuf>,

    /// a file to carry, and its path in the initramfs; repeatable
    #[argh(option, arg_name = "FILE=PATH", from_str_fn(parse_addition))]
    add: Vec<(PathBuf, String)>,
}

fn main() -> ExitCode {
    let args: Vec<String> = match std::env::args_os().skip(1).map(OsString::into_string).collect() {
        Ok(args) => args,
        Err(arg) => {
            eprintln!("initramfs: this argument is not UTF-8: {}", arg.display());
            return ExitCode::from(2);
        }
    };
    let args: Vec<&str> = args.iter().flat_map(|arg| split(arg)).collect();
    let options = match Options::from_args(&["initramfs"], &args) {
        Ok(options) => options,
        Err(early) if early.status.is_ok() => {
            println!("{}", early.output);
            return ExitCode::SUCCESS;
        }
        Err(early) => {
            eprintln!("initramfs: {}\nTry: initramfs --help", early.output.trim());
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("initramfs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `--option=value` as argh wants it: in two.
fn split(arg: &str) -> impl Iterator<Item = &str> {
    let (option, value) = match arg.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (option, Some(value)),
        _ => (arg, None),
    };
    std::iter::once(option).chain(value)
}

fn run(options: Options) -> anyhow::Result<()> {
    let (modules, vm_modules) = parse_modules(&options.modules)?;
    let plan = Plan {
        init: options.init,
        kernel_modules: options.kernel_modules,
        modules,
        vm_modules,
        config: options.config,
        keys: options.key,
        add: options.add,
    };
    let made = initramfs::assemble(&plan)?;
    initramfs::write(&made.image, &options.output)?;
    if let Some(path) = &options.sbom {
        initramfs::write(made.sbom.as_bytes(), path)?;
    }
    println!(
        "{}: {} bytes ({} unpacked), modules: {}",
        options.output.display(),
        made.image.len(),
        made.plain_len,
        if made.modules.is_empty() { "none".to_owned() } else { made.modules.join(" ") },
    );
    if !made.absent.is_empty() {
        println!("not in this kernel: {}", made.absent.join(" "));
    }
    Ok(())
}

/// The modules named, and whether the VM list is among them.
fn parse_modules(list: &str) -> anyhow::Result<(Vec<String>, bool)> {
    if list == "none" {
        return Ok((Vec::new(), false));
    }
    let (mut names, mut vm) = (Vec::new(), false);
    for name in list.split(',').map(str::trim) {
        match name {
            "" => anyhow::bail!("an empty name in --modules '{list}'"),
            "none" => anyhow::bail!("'none' beside other modules in --modules '{list}'"),
            "vm" => vm = true,
            name => names.push(name.to_owned()),
        }
    }
    Ok((names, vm))
}

/// Splits FILE=PATH at its last `=`, as the host's file may well have one in its name.
fn parse_addition(text: &str) -> Result<(PathBuf, String), String> {
    match text.rsplit_once('=') {
        Some((file, path)) if !file.is_empty() && !path.is_empty() => {
            Ok((PathBuf::from(file), path.to_owned()))
        }
        _ => Err(format!("'{text}' is not FILE=PATH, as ca.pem=/etc/zimg/ca.pem")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_lists() {
        let names = |list: &str| parse_modules(list).unwrap();
        assert_eq!(names("none"), (vec![], false));
        assert_eq!(names("vm"), (vec![], true));
        assert_eq!(names("a, vm,b"), (vec!["a".to_owned(), "b".to_owned()], true));
        assert!(parse_modules("a,none").is_err());
        assert!(parse_modules("a,,b").is_err());
    }

    #[test]
    fn additions() {
        let split = |text: &str| parse_addition(text).unwrap();
        assert_eq!(split("a=/b"), (PathBuf::from("a"), "/b".to_owned()));
        assert_eq!(split("a=b=/c"), (PathBuf::from("a=b"), "/c".to_owned()));
        for wrong in ["a", "=b", "a=", ""] {
            assert!(parse_addition(wrong).is_err(), "{wrong}");
        }
    }
}
