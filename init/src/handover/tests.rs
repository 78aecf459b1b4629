use super::*;

fn given(path: &str, text: &str) -> GivenFile {
    GivenFile { path: path.to_owned(), text: text.to_owned() }
}

#[test]
fn masks() {
    assert_eq!(netmask(24), Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(netmask(32), Ipv4Addr::new(255, 255, 255, 255));
    assert_eq!(netmask(0), Ipv4Addr::UNSPECIFIED);
}

#[test]
fn what_a_server_sends_stays_within_its_quotes() {
    assert_eq!(quoted("a'; reboot; '\nb"), "a; reboot; b");
}

#[test]
fn resolv_conf_goes_into_the_root() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/resolv.conf"), "old").unwrap();
    write(&[given("/etc/resolv.conf", "nameserver 10.0.2.3\n")], root.path()).unwrap();
    let text = fs::read_to_string(root.path().join("etc/resolv.conf")).unwrap();
    assert_eq!(text, "nameserver 10.0.2.3\n");
}

#[test]
fn a_link_out_of_the_root_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    let outside = root.path().join("outside");
    fs::create_dir(root.path().join("etc")).unwrap();
    std::os::unix::fs::symlink(&outside, root.path().join("etc/resolv.conf")).unwrap();
    write(&[given("/etc/resolv.conf", "x")], root.path()).unwrap();
    assert!(!outside.exists());
    assert!(fs::symlink_metadata(root.path().join("etc/resolv.conf")).unwrap().is_file());
}

#[test]
fn links_into_run_are_followed_there() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let link = root.path().join("etc/resolv.conf");
    for (target, want) in [
        ("../run/systemd/resolve/stub-resolv.conf", Some("/run/systemd/resolve/stub-resolv.conf")),
        ("/run/resolvconf/resolv.conf", Some("/run/resolvconf/resolv.conf")),
        ("/var/run/x/resolv.conf", Some("/run/x/resolv.conf")),
        ("../../../run/x", Some("/run/x")),
        ("/run/../etc/shadow", None),
        ("resolv.conf.real", None),
    ] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        let got = link_into_run(root.path(), Path::new("/etc/resolv.conf"));
        assert_eq!(got.as_deref(), want.map(Path::new), "{target}");
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn a_system_without_the_directory_gets_no_file() {
    let root = tempfile::tempdir().unwrap();
    write(&[given("/etc/network/interfaces.d/zimg", "x")], root.path()).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
