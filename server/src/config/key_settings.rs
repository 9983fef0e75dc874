//! The settings of the custody of the key file. Those of other sections, and how they are declared: `settings.rs`.

use std::path::PathBuf;

use shoal_custody::Kind;

use super::declare::Kind::{Number, Optional, Switch, Text};
use super::declare::Setting;
use super::declare::Suggested::Example;
use super::declare::settings;

const A_FILE: &str = "the path of a file";
const A_LABEL: &str = "a label";

settings! {
    /// The custody of the key file.
    KeySettings named "keys." {
        /// Who holds the key that key_file is wrapped with: file (wrapping_file, or nobody where that is not set), pkcs11 (a token) or
        /// transit (a service as OpenBao or Vault). A key file that is there moves to another custody by `shoal keys wrap` and
        /// `shoal keys rewrap`; for that, both custodies are set.
        custody: Kind = Text("file", "file, pkcs11 or transit");
        /// File of wrapping keys; `shoal keys wrap`, or the first start, makes it. By default there is none, and key_file is in the clear.
        /// It must be outside data_dir, and best comes from elsewhere than key_file, as a secret of the platform.
        wrapping_file: Option<PathBuf> = Optional(Example("/run/secrets/shoal-wrapping-keys"), A_FILE);
        /// PKCS#11 module of the token, a shared library of its maker. It is loaded into the service, so it must be trusted as that is.
        pkcs11_module: Option<PathBuf> = Optional(Example("/usr/lib/softhsm/libsofthsm2.so"), A_FILE);
        /// Label of the token.
        pkcs11_token: String = Text("shoal", A_LABEL);
        /// Label of the AES key in the token. Its id (CKA_ID) is its version, a number: the greatest one wraps.
        pkcs11_key: String = Text("shoal", A_LABEL);
        /// File with the PIN of the token's user, which others cannot read.
        pkcs11_pin_file: Option<PathBuf> = Optional(Example("/run/secrets/shoal-pin"), A_FILE);
        /// Address of the transit service. Plain http goes to this machine alone.
        transit_url: Option<String> = Optional(Example("https://vault.example:8200"), "a URL");
        /// Where the transit engine is mounted in the service.
        transit_mount: String = Text("transit", "the path of a mount");
        /// Name of the key in the transit engine, of a type that authenticates, as aes256-gcm96. It must be there.
        transit_key: String = Text("shoal", "the name of a key");
        /// File with the token for the transit service, which others cannot read. It is read for each call, so it may be renewed. Without
        /// this setting the token is that of the variable BAO_TOKEN, or of VAULT_TOKEN.
        transit_token_file: Option<PathBuf> = Optional(Example("/run/secrets/shoal-token"), A_FILE);
        /// Namespace in the transit service.
        transit_namespace: Option<String> = Optional(Example("telemetry"), "the name of a namespace");
        /// Certificates (PEM) of the authorities that the transit service's own is signed by. By default those of the web are believed.
        transit_ca_file: Option<PathBuf> = Optional(Example("/etc/shoal/vault-ca.pem"), A_FILE);
        /// Whether plain http may go to another machine. Set it to true only where something else encrypts it, as a mesh.
        transit_allow_http: bool = Switch(false);
        /// Longest time of one call to a token, or of one try to reach a transit service, in milliseconds. There are three tries.
        timeout_ms: u64 = Number(5_000, 100, 600_000);
    }
}
