use super::*;
use crate::tls::Terms;
use crate::tls::testing::{Authority, DAY, Pair, Wanted, files, now, plan, ssl};
use std::path::Path;

/// What is served from one pair of files, and who watches it.
struct Served {
    folder: tempfile::TempDir,
    authority: Authority,
    files: CertificateFiles,
    store: Arc<Store>,
    slot: Arc<Slot>,
    watch: Watch,
    _terms: Terms,
}

/// After which a bad pair is not a half-written one.
const LONG: u64 = CERTIFICATES_HALF_WRITTEN;

impl Served {
    /// Begins with what `prepare` puts there as `a.pem` and `a.key`.
    fn with(prepare: impl FnOnce(&Authority, &Path)) -> Served {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
        prepare(&authority, folder.path());
        let files = files(folder.path(), "a");
        let store = Arc::new(Store::default());
        let plan = plan(&[(&["a.test"], ssl(vec![files.clone()]))]);
        let (terms, _) = Terms::load(&plan, &store, None).unwrap_or_else(|errors| panic!("{errors:?}"));
        let slot = store.slots().remove(0);
        Served { folder, authority, files, store, slot, watch: Watch::default(), _terms: terms }
    }

    fn good() -> Served {
        Served::with(|authority, folder| drop(authority.server(&["a.test", "b.test"]).write(folder, "a")))
    }

    fn pair(&self) -> Pair {
        self.authority.server(&["a.test", "b.test"])
    }

    fn look_at(&mut self, now: i64, ms: u64) -> Vec<String> {
        let root = self.folder.path().to_str().unwrap();
        let said = self.watch.look(std::slice::from_ref(&self.slot), now, ms);
        said.into_iter().map(|(level, line)| format!("{level:?}: {}", line.replace(root, "DIR"))).collect()
    }

    fn look(&mut self, ms: u64) -> Vec<String> {
        self.look_at(now(), ms)
    }

    fn held(&self) -> String {
        self.slot.held().about.fingerprint.clone()
    }

    fn status(&self) -> (String, String) {
        let status = status(&self.store, SystemTime::now()).remove(0);
        (status.state, status.why.replace(self.folder.path().to_str().unwrap(), "DIR"))
    }
}

#[track_caller]
fn expect(said: Vec<String>, parts: &[&str]) {
    assert_eq!(said.len(), parts.len(), "{said:?}");
    said.iter().zip(parts).for_each(|(said, part)| assert!(said.contains(part), "{said}: {part}"));
}

#[test]
fn what_stays_the_same_is_not_mentioned() {
    let mut served = Served::good();
    for ms in [0, 1000, 2000] {
        expect(served.look(ms), &[]);
    }
    // Written once more, with the same in it.
    let text = std::fs::read(&served.files.chain).unwrap();
    std::fs::write(&served.files.chain, text).unwrap();
    expect(served.look(3000), &[]);
    assert_eq!(served.status(), ("ok".to_owned(), String::new()));
}

#[test]
fn renewed_ones_are_served_at_once_also_behind_links() {
    // As certbot has it: live/a.pem leads to archive/a1.pem.
    let link = |folder: &Path, name: &str| {
        for end in ["pem", "key"] {
            let live = folder.join(format!("a.{end}"));
            let _ = std::fs::remove_file(&live);
            std::os::unix::fs::symlink(folder.join(format!("{name}.{end}")), live).unwrap();
        }
    };
    let mut served = Served::with(|authority, folder| {
        authority.server(&["a.test", "b.test"]).write(folder, "a1");
        link(folder, "a1");
    });
    let before = served.held();
    served.pair().write(served.folder.path(), "a2");
    expect(served.look(0), &[]);
    link(served.folder.path(), "a2");
    expect(served.look(1000), &["Info: the certificate in DIR/a.pem is new: signed by CA, Test, good until 20"]);
    assert_ne!(served.held(), before);
    expect(served.look(2000), &[]);
    assert_eq!(served.status().0, "ok");
}

#[test]
fn halves_are_waited_for() {
    let mut served = Served::good();
    let (before, new) = (served.held(), served.pair());
    std::fs::write(&served.files.chain, &new.certificate).unwrap();
    expect(served.look(0), &[]);
    expect(served.look(LONG - 1), &[]);
    assert_eq!((served.held(), served.status().0), (before, "ok".to_owned()));
    std::fs::write(&served.files.key, new.key.serialize_pem()).unwrap();
    expect(served.look(LONG), &["a.pem is new"]);
}

#[test]
fn bad_ones_leave_the_old_one_and_are_said_once() {
    type Spoil = fn(&Served);
    let rows: [(Spoil, &str); 8] = [
        (|served| std::fs::write(&served.files.chain, &served.pair().certificate).unwrap(), "is not that of"),
        (|served| std::fs::write(&served.files.key, "").unwrap(), "DIR/a.key is empty"),
        (|served| std::fs::write(&served.files.chain, "text").unwrap(), "DIR/a.pem holds no certificate"),
        (|served| std::fs::remove_file(&served.files.key).unwrap(), "DIR/a.key is not there, though DIR/a.pem is"),
        (
            |served| {
                std::fs::remove_file(&served.files.key).unwrap();
                std::fs::remove_file(&served.files.chain).unwrap();
            },
            "DIR/a.pem and its key are gone",
        ),
        (
            |served| {
                drop(
                    served
                        .authority
                        .sign(Wanted { days: -9..-1, ..Wanted::default() })
                        .write(served.folder.path(), "a"),
                )
            },
            "DIR/a.pem expired on",
        ),
        (
            |served| {
                drop(served.authority.sign(Wanted { days: 1..9, ..Wanted::default() }).write(served.folder.path(), "a"))
            },
            "DIR/a.pem is good only from",
        ),
        (
            |served| {
                std::fs::remove_file(&served.files.chain).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(&served.files.chain).status().unwrap().success());
            },
            "DIR/a.pem is no regular file",
        ),
    ];
    for (spoil, part) in rows {
        let mut served = Served::good();
        let before = served.held();
        let texts = [&served.files.chain, &served.files.key].map(|path| std::fs::read(path).unwrap());
        expect(served.look(0), &[]);
        spoil(&served);
        expect(served.look(1000), &[]);
        expect(served.look(1000 + LONG), &[part]);
        let again = served.look(2000 + LONG);
        expect(again, &[]);
        expect(served.look(2000 + LONG + CERTIFICATES_RETRY), &[]);
        assert_eq!(served.held(), before);
        let (state, why) = served.status();
        assert!(state == "kept" && why.contains(part), "{state} {why}");
        // What was there comes back, or a new one.
        let _ = std::fs::remove_file(&served.files.chain);
        std::fs::write(&served.files.chain, &texts[0]).unwrap();
        std::fs::write(&served.files.key, &texts[1]).unwrap();
        expect(served.look(100_000), &["Info: DIR/a.pem is again what is served"]);
        assert_eq!((served.held(), served.status().0), (before, "ok".to_owned()));
        served.pair().write(served.folder.path(), "a");
        expect(served.look(101_000), &["is new"]);
    }
}

#[test]
fn another_fault_is_another_line() {
    let mut served = Served::good();
    std::fs::write(&served.files.key, "").unwrap();
    expect(served.look(0), &[]);
    expect(served.look(LONG), &["Error: DIR/a.key is empty; the certificate before it (good until 20"]);
    std::fs::write(&served.files.key, "text").unwrap();
    expect(served.look(LONG + 1000), &["DIR/a.key holds no key"]);
    served.pair().write(served.folder.path(), "a");
    expect(served.look(LONG + 2000), &["is new"]);
    assert_eq!(served.status(), ("ok".to_owned(), String::new()));
}

#[test]
fn a_placeholder_goes_as_soon_as_the_real_one_comes() {
    let mut served = Served::with(|_, _| ());
    expect(served.look(0), &["Warn: DIR/a.pem is not there: a self-signed placeholder is served"]);
    assert_eq!(served.status(), ("placeholder".to_owned(), "the files are not there yet".to_owned()));
    expect(served.look(1000), &[]);
    let pair = served.pair();
    std::fs::write(&served.files.chain, &pair.certificate).unwrap();
    expect(served.look(2000), &[]);
    expect(served.look(2000 + LONG), &["DIR/a.key is not there, though DIR/a.pem is; the placeholder is still served"]);
    assert_eq!(served.status().0, "placeholder");
    std::fs::write(&served.files.key, pair.key.serialize_pem()).unwrap();
    let said = served.look(3000 + LONG);
    expect(said, &["it is served instead of the placeholder"]);
    assert_eq!(served.status().0, "ok");
}

#[test]
fn what_expired_is_better_than_a_placeholder() {
    let mut served = Served::with(|_, _| ());
    expect(served.look(0), &["placeholder"]);
    let old = served.authority.sign(Wanted { days: -9..-1, ..Wanted::default() });
    old.write(served.folder.path(), "a");
    expect(
        served.look(1000),
        &["is new", "Warn: the certificate in DIR/a.pem expired on", "Error: the certificate in DIR/a.pem expired on"],
    );
    assert_eq!(served.status().0, "expired");
}

#[test]
fn names_that_are_lost_are_said() {
    let mut served = Served::good();
    served.authority.server(&["b.test", "c.test"]).write(served.folder.path(), "a");
    expect(served.look(0), &["is new", "Warn: the new certificate in DIR/a.pem is no longer made out to a.test"]);
}

#[test]
fn expiry_is_said_once_a_day_and_when_it_gets_urgent() {
    let mut served = Served::good();
    let end = served.slot.held().about.not_after;
    let rows: [(i64, &[&str]); 10] = [
        (end - 15 * DAY, &[]),
        (end - 14 * DAY + 1, &["Warn: the certificate in DIR/a.pem expires in 13 days"]),
        (end - 14 * DAY + 2, &[]),
        (end - 13 * DAY, &[]),
        (end - 13 * DAY + 1, &["Warn: the certificate in DIR/a.pem expires in 12 days"]),
        (end - 3 * DAY + 1, &["Error: the certificate in DIR/a.pem expires in 2 days"]),
        (end - 3 * DAY + 2, &[]),
        (end - 2, &["Error: the certificate in DIR/a.pem expires within a day"]),
        (end + 1, &["Error: the certificate in DIR/a.pem expired on"]),
        (end + 2, &[]),
    ];
    for (at, parts) in rows {
        expect(served.look_at(at, 0), parts);
    }
    // A new one is news of its own.
    served.authority.sign(Wanted { days: -1..120, ..Wanted::default() }).write(served.folder.path(), "a");
    expect(served.look_at(end - DAY, 1000), &["is new", "no longer made out to b.test"]);
    expect(served.look_at(end - DAY, 2000), &[]);
}

#[test]
fn the_status_says_what_people_want_to_know() {
    let served = Served::good();
    let one = status(&served.store, SystemTime::now()).remove(0);
    assert_eq!(
        (&one.names[..], &one.issuer[..], &one.kind[..]),
        (&["a.test".to_owned(), "b.test".to_owned()][..], "CA, Test", "ECDSA")
    );
    assert!(one.certificate.ends_with("/a.pem") && one.key.ends_with("/a.key"));
    assert!(one.not_before < one.not_after && one.not_after.ends_with('Z') && one.days_left > 80);
    let end = UNIX_EPOCH + Duration::from_secs(served.slot.held().about.not_after as u64);
    let later = |seconds| status(&served.store, end + Duration::from_secs(seconds)).remove(0);
    assert_eq!((&later(1).state[..], later(1).days_left), ("expired", -1));
    let before = status(&served.store, end - Duration::from_secs(86_400)).remove(0);
    assert_eq!((&before.state[..], before.days_left), ("expires", 1));
    let json = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<CertificateStatus>(&json).unwrap(), one);
}

#[test]
fn a_certificate_that_is_not_good_yet_is_not_ok() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("CA"));
    let files = authority.sign(Wanted { days: 5..90, ..Wanted::default() }).write(folder.path(), "a");
    let store = Arc::new(Store::default());
    let _terms = Terms::load(&plan(&[(&["a.test"], ssl(vec![files]))]), &store, None).unwrap();
    assert_eq!(status(&store, SystemTime::now())[0].state, "early");
}
