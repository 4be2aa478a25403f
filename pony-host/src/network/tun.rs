//! Taps. The kernel makes none by netlink, only by an ioctl on `/dev/net/tun`; this is the only unsafe code here.

use nix::libc;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;

const DEVICE: &str = "/dev/net/tun";

/// Frames without a header of ours, with the one that virtio and vhost speak. libvirt opens it with the same.
const FLAGS: i32 = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;

mod sys {
    use nix::libc;
    nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, libc::ifreq);
    nix::ioctl_write_int_bad!(tun_set_persist, libc::TUNSETPERSIST);
}

/// A tap that vanishes when this is dropped, unless it was kept: one that is half made never stays behind.
#[derive(Debug)]
pub(super) struct NewTap(File);

impl NewTap {
    /// Makes a tap in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if there is a link of this name, and what the system says otherwise.
    pub(super) fn make(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE).map_err(without_device)?;
        let request = request(name)?;
        // SAFETY: the descriptor is open, and `request` is a whole `ifreq` with a terminated name, which the
        // kernel reads and writes within its size.
        match unsafe { sys::tun_set_iff(file.as_raw_fd(), &raw const request) } {
            Ok(_) => Ok(Self(file)),
            // IFF_TUN_EXCL: there is one already, and it is not taken over.
            Err(nix::errno::Errno::EBUSY) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes it stay.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(super) fn keep(self) -> io::Result<()> {
        // SAFETY: the descriptor is open and has a tap; the argument is a plain number.
        unsafe { sys::tun_set_persist(self.0.as_raw_fd(), 1) }?;
        Ok(())
    }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: `ifreq` is plain data, for which zeroes are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let flags = FLAGS | libc::IFF_TUN_EXCL;
    // The kernel's flags fill the 16 bits of a signed field.
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    Ok(request)
}

fn without_device(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(io::ErrorKind::Unsupported, format!("there is no {DEVICE}"))
        }
        _ => error,
    }
}
