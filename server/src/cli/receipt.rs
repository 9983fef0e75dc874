//! `shoal receipt`: receipts of what was done on behalf of persons, and whether one is what it seems.
//!
//! ```sh
//! shoal receipt show 5c1dd7a4-0f6e-4d5b-9d3a-7c2f1c1f9a10 --region DE > receipts.jsonl
//! shoal receipt key --region DE
//! shoal receipt verify receipts.jsonl --key 0f3a..
//! shoal receipt chain --region DE > chain.jsonl
//! shoal receipt verify chain.jsonl --chain --key 0f3a..
//! ```
//! What is shown comes from the running service, the chain from its files; verifying needs no service, no data and no key but the public one. Not here: the form
//! (`docs/receipts.md`), the verification (`shoal-receipts`).

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};
use shoal_language::calendar::time_text;
use shoal_receipts::{
    DOCUMENT_BYTES_MAX, PublicKey, ReceiptError, export_chain, verify_chain, verify_document,
};
use shoal_schemas::Region;
use uuid::Uuid;

use super::data_dir;
use super::output::print_either;
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::receipts::chain_of;

#[derive(Subcommand)]
pub(super) enum ReceiptCommand {
    /// Prints the receipts of a request, or of a run of retention, one document a line: with everything in them, for officers and auditors.
    Show {
        /// Request, as it was called when it was made; or the number in a line of the chain (`request`).
        request: Uuid,
        /// Region of the receipts: each has its own.
        #[arg(long, value_parser = region)]
        region: Region,
        /// Prints those that may be given to the person: nothing in them tells whether there was a row.
        #[arg(long, conflicts_with = "part")]
        personal: bool,
        /// Part of the list of removed files, from 1.
        #[arg(long, default_value_t = 1)]
        part: u64,
        /// Prints them as one list of texts in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the public key of a region, with which its receipts are verified.
    Key {
        /// Region of the key.
        #[arg(long, value_parser = region)]
        region: Region,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the chain of a region: the signed line of each act, in JSON. It needs no service.
    Chain {
        /// Region of the chain.
        #[arg(long, value_parser = region)]
        region: Region,
        /// Changes nothing: each line is JSON anyway.
        #[arg(long)]
        json: bool,
    },
    /// Verifies receipts, one document a line, or a chain. It needs nothing but the file and the public key.
    Verify {
        /// File of receipts, or of a chain.
        file: PathBuf,
        /// Public key, as `shoal receipt key` prints it. After a change of the key it can be given for each.
        #[arg(long = "key", value_name = "KEY", required = true, value_parser = public_key)]
        keys: Vec<PublicKey>,
        /// Says that the file is a chain.
        #[arg(long)]
        chain: bool,
        /// Prints what was found as JSON.
        #[arg(long)]
        json: bool,
    },
}

fn region(text: &str) -> Result<Region, String> {
    Region::parse(text).ok_or_else(|| "a region is US, DE, SG or MY".to_owned())
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_text(text).ok_or_else(|| "a public key is 64 hexadecimal digits".to_owned())
}

pub(super) fn run(config: &Config, command: ReceiptCommand) -> Result<ExitCode, Error> {
    match command {
        ReceiptCommand::Show { request, region, personal, part, json } => {
            let told = ask(config, &Asked::Receipts(request, region, (!personal).then_some(part)))?;
            let documents = told.as_array().map(Vec::as_slice).unwrap_or_default();
            if documents.is_empty() {
                let none = "there is no such receipt: no request is called that there, its rows are not gone yet, there is no such part, or \
                    what opens it was forgotten";
                return Err(Error::Remote(none.to_owned()));
            }
            let text = || documents.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
            print_either(json, || json!({"receipts": documents}), text)
        }
        ReceiptCommand::Key { region, json } => {
            let key = ask(config, &Asked::ReceiptKey(region))?;
            let value = || json!({"region": region.as_str(), "public_key": key});
            print_either(json, value, || key.as_str().unwrap_or_default().to_owned())
        }
        ReceiptCommand::Chain { region, .. } => {
            data_dir::is_there(config)?;
            match export_chain(&chain_of(config, region), &mut std::io::stdout().lock()) {
                // Whoever reads it has seen enough.
                Err(ReceiptError::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {}
                written => written.map_err(|error| Error::Service(error.to_string()))?,
            }
            Ok(ExitCode::SUCCESS)
        }
        ReceiptCommand::Verify { file, keys, chain: true, json } => verify_lines(&file, &keys, json),
        ReceiptCommand::Verify { file, keys, chain: false, json } => verify_documents(&file, &keys, json),
    }
}

fn ask(config: &Config, asked: &Asked) -> Result<Value, Error> {
    data_dir::is_there(config)?;
    let dir = &config.data_dir;
    operator_socket::ask(dir, asked)?.ok_or_else(|| {
        Error::Remote(format!("no service that can be asked runs over {}: start it", dir.display()))
    })
}

fn open(file: &Path) -> Result<BufReader<std::fs::File>, Error> {
    Ok(BufReader::new(std::fs::File::open(file).map_err(|e| Error::io(file, e))?))
}

fn verify_lines(file: &Path, keys: &[PublicKey], as_json: bool) -> Result<ExitCode, Error> {
    let end = verify_chain(&mut open(file)?, keys, &mut |_| {});
    let end = end.map_err(|fault| {
        Error::Service(format!("{}, line {}: {}", file.display(), fault.line, fault.reason))
    })?;
    let value = || json!({"lines": end.count, "last": end.hash.to_string()});
    print_either(as_json, value, || {
        format!("{} lines are as they were signed; the last is {}", end.count, end.hash)
    })
}

fn verify_documents(file: &Path, keys: &[PublicKey], as_json: bool) -> Result<ExitCode, Error> {
    let mut reader = open(file)?;
    let mut found = Vec::new();
    loop {
        let mut line = Vec::new();
        let most = DOCUMENT_BYTES_MAX as u64 + 2;
        let read = (&mut reader).take(most).read_until(b'\n', &mut line).map_err(|e| Error::io(file, e))?;
        if read == 0 {
            break;
        }
        let verified = verify_document(&line, keys).map_err(|fault| {
            let hint = if line.starts_with(b"{\"v\":") { "; a chain is verified with --chain" } else { "" };
            Error::Service(format!(
                "receipt {} of {}: {}{hint}",
                found.len() + 1,
                file.display(),
                fault.reason
            ))
        })?;
        found.push(json!({"line": verified.line.to_string(), "act": verified.act, "request": verified.request,
            "at": time_text(verified.at_ms), "region": verified.region, "role": verified.role, "opened": verified.opened,
            "removed_files": verified.removed.len(), "part": verified.part}));
    }
    if found.is_empty() {
        return Err(Error::Service(format!("{} has no receipt", file.display())));
    }
    let text = || {
        let line = |receipt: &Value| {
            let of = |name: &str| receipt[name].as_str().unwrap_or_default().to_owned();
            let (at, act, role, region) = (of("at"), of("act"), of("role"), of("region"));
            let removed = receipt["removed_files"].as_u64().unwrap_or_default();
            format!(
                "good: {act} at {at} in {region}, asked for by {role}; {removed} removed files are proved to be gone"
            )
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    print_either(as_json, || json!({"receipts": found}), text)
}
