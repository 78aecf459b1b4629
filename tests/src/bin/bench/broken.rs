//! Boots that the emulator broke.

/// What the kernel says of a fault that it can't explain: of a program's or its own, and of its end.
const BROKEN: [&str; 2] = ["] traps: ", "Fatal exception"];

/// The same of what is ours, which is to be mended and not to be tried again.
const OURS: [&str; 2] = ["] traps: init[", "] traps: zimg["];

/// Boots once more where something came upon what can't be in the midst of its own code, as the emulator
/// has the kernel or a program do now and then, whatever is booted.
pub(crate) fn unless_it_broke<T>(boot: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let booted = boot();
    let Err(error) = &booted else { return booted };
    let said = format!("{error:#}");
    let any = |words: &[&str]| words.iter().any(|words| said.contains(words));
    if any(&OURS) || !any(&BROKEN) {
        return booted;
    }
    eprintln!("something broke under emulation: once more");
    boot()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::unless_it_broke;

    #[test]
    fn only_what_broke_boots_again_and_only_once() {
        let boots = |console: &str, good_from: u32| {
            let count = Cell::new(0);
            let booted = unless_it_broke(|| {
                count.set(count.get() + 1);
                if count.get() < good_from {
                    bail!("the machine ended before it had booted. The console:\n{console}");
                }
                Ok(())
            });
            (booted.is_ok(), count.get())
        };
        let fault = "[ 63.3] traps: login[282] general protection fault ip:7f41bfe77b70";
        let end = "[ 46.2] Kernel panic - not syncing: Fatal exception in interrupt";
        for broken in [fault, end] {
            assert_eq!(boots(broken, 2), (true, 2), "{broken}");
            assert_eq!(boots(broken, 3), (false, 2), "{broken}");
        }
        // What our own PID 1 does wrong is no fault of the emulator's.
        let ours = "[ 5.0] traps: init[1] general protection fault ip:7f41bfe77b70";
        let killed =
            "[ 5.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100";
        for wrong in [ours, killed] {
            assert_eq!(boots(wrong, 2), (false, 1), "{wrong}");
        }
    }
}
