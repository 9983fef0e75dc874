//! File systems of a trial's own: images on loop devices and small ones in memory, mounted while a value lives.
//!
//! Invariants: whatever a value has mounted or frozen is unmounted and thawed when it is dropped, in the middle of a
//! failure too; loop devices belong to their mounts and go with them. Values are dropped in the reverse order of their
//! making, so a service that runs on a disk is a later variable than the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shoal_faults::Trial;

/// Runs a program that must succeed.
fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Fails with what the machine lacks, and how to leave the trial out.
fn needed<T>(trial: Trial, result: Result<T, String>) -> T {
    result.unwrap_or_else(|told| {
        panic!(
            "the trial {0} mounts file systems: it needs root, loop devices (/dev/loop0, ..), mount, mkfs.ext4 and fsfreeze. {told}. \
             SHOAL_TRIALS_WITHOUT={0} leaves it out",
            trial.name()
        )
    })
}

/// A mounted file system.
pub(crate) struct Mounted {
    path: PathBuf,
}

impl Mounted {
    fn new(arguments: &[&str], path: &Path) -> Result<Mounted, String> {
        fs::create_dir_all(path).map_err(|e| e.to_string())?;
        let path_text = path.to_str().unwrap_or_default();
        run("mount", &[arguments, &[path_text]].concat())?;
        Ok(Mounted { path: path.to_path_buf() })
    }

    /// An image of ext4, on a loop device of its own.
    pub(crate) fn image(image: &Path, path: &Path, options: &str) -> Result<Mounted, String> {
        let options = format!("loop,noatime,{options}");
        Mounted::new(&["-o", &options, image.to_str().unwrap_or_default()], path)
    }

    /// A small file system in memory, in the place of a directory and with what that holds.
    pub(crate) fn in_memory(mib: u64, path: &Path, trial: Trial) -> Mounted {
        let options = format!("size={mib}m,mode=0700");
        Mounted::in_place(path, trial, || Mounted::new(&["-t", "tmpfs", "-o", &options, "shoal-trial"], path))
    }

    /// The same on an image of ext4, which has a directory `lost+found` as every disk has.
    pub(crate) fn image_in_place(mib: u64, path: &Path, trial: Trial) -> Mounted {
        let file = path.with_extension("img");
        Mounted::in_place(path, trial, || Mounted::image(&image(&file, mib)?, path, "data=ordered"))
    }

    fn in_place(path: &Path, trial: Trial, mount: impl FnOnce() -> Result<Mounted, String>) -> Mounted {
        let kept = path.with_extension("kept");
        // Some are made when they are needed.
        fs::create_dir_all(path).unwrap();
        fs::rename(path, &kept).unwrap();
        let mounted = needed(trial, mount());
        run("cp", &["-a", &format!("{}/.", kept.display()), path.to_str().unwrap()]).unwrap();
        fs::remove_dir_all(kept).unwrap();
        mounted
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let path = self.path.to_str().unwrap_or_default();
        if run("umount", &[path]).is_err() {
            // Somebody has a file open in it: it goes with the last of them.
            let _ = run("umount", &["-l", path]);
        }
    }
}

/// A disk whose state at one moment can be copied: an image of ext4 that lies on another one. While the outer one is
/// frozen, the inner one's device takes nothing more, so that a copy has exactly what had been written to it, as after
/// a power cut.
pub(crate) struct CutDisk {
    // Unmounted in this order.
    inner: Mounted,
    outer: Mounted,
    image: PathBuf,
}

impl CutDisk {
    /// A disk of so many MiB.
    pub(crate) fn new(dir: &Path, mib: u64, options: &str) -> CutDisk {
        let make = || {
            let outer_image = image(&dir.join("outer.img"), mib * 2)?;
            let outer = Mounted::image(&outer_image, &dir.join("outer"), "data=ordered")?;
            let image = image(&outer.path().join("inner.img"), mib)?;
            let inner = Mounted::image(&image, &dir.join("disk"), options)?;
            Ok(CutDisk { inner, outer, image })
        };
        needed(Trial::PowerLoss, make())
    }

    pub(crate) fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Copies what a power cut at one moment of this call leaves, mounts it, and gives it back.
    pub(crate) fn cut(&self, dir: &Path) -> Copied {
        let copy = dir.join("cut.img");
        {
            let _frozen = Frozen::freeze(self.outer.path());
            run("cp", &["--sparse=always", self.image.to_str().unwrap(), copy.to_str().unwrap()]).unwrap();
        }
        let mounted = Mounted::image(&copy, &dir.join("cut"), "data=ordered").unwrap();
        Copied { mounted, copy }
    }
}

/// An empty file system of ext4 in a file.
fn image(path: &Path, mib: u64) -> Result<PathBuf, String> {
    let file = fs::File::create(path).map_err(|e| e.to_string())?;
    file.set_len(mib << 20).map_err(|e| e.to_string())?;
    run("mkfs.ext4", &["-q", "-F", path.to_str().unwrap_or_default()])?;
    Ok(path.to_path_buf())
}

/// A copy of a disk, which is gone when it is dropped.
pub(crate) struct Copied {
    mounted: Mounted,
    copy: PathBuf,
}

impl Copied {
    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // The file goes when its device lets go of it.
            let _ = fs::remove_file(&self.copy);
        }
    }
}

/// A file system that takes no writes.
struct Frozen<'a>(&'a Path);

impl Frozen<'_> {
    fn freeze(path: &Path) -> Frozen<'_> {
        run("fsfreeze", &["-f", path.to_str().unwrap()]).unwrap();
        Frozen(path)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(told) = run("fsfreeze", &["-u", self.0.to_str().unwrap_or_default()]) {
            eprintln!("the disk of the trial is still frozen: {told}");
        }
    }
}
