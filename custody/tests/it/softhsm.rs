//! A SoftHSM token for one test.
//!
//! SoftHSM is told by the environment where its tokens are, and no test can change that of its own process safely. So a test runs again in a
//! process of its own, which has the variable.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11 as Module};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use shoal_custody::{Pkcs11, Pkcs11Settings};

pub(crate) const PIN: &str = "pin-of-the-tests";
const OFFICER: &str = "pin-of-the-officer";
const CONF: &str = "SOFTHSM2_CONF";
/// Where Debian puts it, and where others do.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// A token with the label `shoal`, of which nobody else knows.
pub(crate) struct Token {
    dir: PathBuf,
    module: Module,
}

/// Runs a test of this name with a token of its own.
pub(crate) fn with_token(name: &str, test: impl FnOnce(&Token)) {
    if let Some(conf) = std::env::var_os(CONF) {
        return test(&Token::new(Path::new(&conf).parent().unwrap()));
    }
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("softhsm2.conf");
    std::fs::create_dir(dir.path().join("tokens")).unwrap();
    let tokens = dir.path().join("tokens");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CONF, &conf)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

fn module_path() -> PathBuf {
    let found = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("SoftHSM is not there: run ./test, or install softhsm2")
}

impl Token {
    fn new(dir: &Path) -> Token {
        let module = Module::new(module_path()).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = module.get_slots_with_token().unwrap()[0];
        module.init_token(slot, &AuthPin::new(OFFICER.into()), "shoal").unwrap();
        let token = Token { dir: dir.to_path_buf(), module };
        let session = token.session();
        session.login(UserType::So, Some(&AuthPin::new(OFFICER.into()))).unwrap();
        session.init_pin(&AuthPin::new(PIN.into())).unwrap();
        token.pin(PIN);
        token
    }

    fn session(&self) -> Session {
        let slots = self.module.get_slots_with_initialized_token().unwrap();
        self.module.open_rw_session(slots[0]).unwrap()
    }

    /// Does something as the user of the token.
    fn logged_in<T>(&self, what: impl FnOnce(&Session) -> T) -> T {
        let session = self.session();
        session.login(UserType::User, Some(&AuthPin::new(PIN.into()))).unwrap();
        what(&session)
    }

    /// Makes an AES key of 256 bits with the label `shoal`.
    pub(crate) fn make_key(&self, id: &[u8], more: &[Attribute]) -> ObjectHandle {
        let usual = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Label(b"shoal".to_vec()),
            Attribute::Id(id.to_vec()),
            Attribute::ValueLen(32.into()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        let has = |attribute: &Attribute| {
            more.iter().any(|other| other.attribute_type() == attribute.attribute_type())
        };
        let mut template: Vec<Attribute> = usual.into_iter().filter(|attribute| !has(attribute)).collect();
        template.extend(more.iter().cloned());
        if !template.iter().any(|attribute| matches!(attribute, Attribute::Sensitive(_))) {
            template.extend([Attribute::Sensitive(true), Attribute::Extractable(false)]);
        }
        self.logged_in(|session| session.generate_key(&Mechanism::AesKeyGen, &template).unwrap())
    }

    /// Destroys every key with this id.
    pub(crate) fn destroy_key(&self, id: &[u8]) {
        self.logged_in(|session| {
            let found = session.find_objects(&[Attribute::Id(id.to_vec())]).unwrap();
            assert!(!found.is_empty());
            found.into_iter().for_each(|key| session.destroy_object(key).unwrap());
        });
    }

    /// Writes the PIN file.
    pub(crate) fn pin(&self, pin: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.join("pin");
        std::fs::write(&path, pin).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Its files are away, or back.
    pub(crate) fn is_away(&self, is_away: bool) {
        let [here, away] = ["tokens", "away"].map(|name| self.dir.join(name));
        let (from, to) = if is_away { (here, away) } else { (away, here) };
        std::fs::rename(from, to).unwrap();
    }

    /// Ends the module and starts it again.
    pub(crate) fn restart(&self) {
        self.module.clone().finalize().unwrap();
        self.module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    }

    pub(crate) fn settings(&self) -> Pkcs11Settings {
        Pkcs11Settings {
            module: module_path(),
            token: "shoal".to_owned(),
            key: "shoal".to_owned(),
            pin_file: self.dir.join("pin"),
            timeout: Duration::from_secs(30),
        }
    }

    pub(crate) fn custody(&self) -> Pkcs11 {
        Pkcs11::open(self.settings()).unwrap()
    }
}
