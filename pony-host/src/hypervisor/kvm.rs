//! Whether there is any point in trying KVM.
//!
//! Where only root can open `/dev/kvm` and the emulator runs as somebody else, no guest can start under KVM, and
//! trying costs minutes: libvirt, which is root and sees KVM, then looks at its emulators anew again and again
//! and holds up every other start meanwhile.

use quick_xml::events::{BytesText, Event};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use virt::connect::Connect;

/// Why no guest can start under KVM, with the cure; `None` if it must be tried.
pub(super) fn refusal(conn: &Connect, device: &Path) -> Option<String> {
    let found = std::fs::metadata(device).ok()?;
    if found.mode() & 0o077 != 0 {
        return None;
    }
    let user = emulator_uid(&conn.get_capabilities().ok()?)?;
    (user != 0 && user != found.uid()).then(|| {
        let device = device.display();
        format!(
            "the emulator's user (uid {user}) may not open {device}; as root: chgrp kvm {device} && chmod 660 {device}"
        )
    })
}

/// The user whom libvirt has KVM guests run as, from its capabilities:
/// `<secmodel><model>dac</model>…<baselabel type='kvm'>+64055:+64055</baselabel>`.
fn emulator_uid(capabilities: &str) -> Option<u32> {
    let mut reader = quick_xml::Reader::from_str(capabilities);
    let (mut in_model, mut in_dac, mut in_label) = (false, false, false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(e) => {
                let name = e.local_name();
                in_model = name.as_ref() == "model";
                let of_kvm = || e.try_get_attribute("type").ok().flatten().is_some_and(|a| a.value == "kvm");
                in_label = in_dac && name.as_ref() == "baselabel" && of_kvm();
            }
            Event::End(e) if e.local_name().as_ref() == "secmodel" => in_dac = false,
            Event::End(_) => (in_model, in_label) = (false, false),
            Event::Text(text) if in_label => return uid_of_label(&text),
            Event::Text(text) if in_model => in_dac = &*text == "dac",
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn uid_of_label(label: &BytesText<'_>) -> Option<u32> {
    label.split(':').next()?.trim_start_matches('+').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulators_user_is_found() {
        let model = |name: &str, label: &str| {
            let labels =
                format!("<baselabel type='kvm'>{label}</baselabel><baselabel type='qemu'>x</baselabel>");
            format!("<secmodel><model>{name}</model><doi>0</doi>{labels}</secmodel>")
        };
        let host = |models: &str| {
            format!("<capabilities><host><cpu><model>m</model></cpu>{models}</host></capabilities>")
        };
        let both = model("apparmor", "libvirt-u") + &model("dac", "+64055:+108");
        assert_eq!(emulator_uid(&host(&both)), Some(64055));
        assert_eq!(emulator_uid(&host(&model("dac", "+0:+0"))), Some(0));
        assert_eq!(emulator_uid(&host("")), None);
        assert_eq!(emulator_uid("nonsense"), None);
    }
}
