//! The right to listen on ports below 1024, as a container gives it.

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Takes up CAP_NET_BIND_SERVICE where this thread may. A container runs us as no root, so the right comes from the program's
/// file; there it is only permitted, as a file that made it effective would not start where it is not to be had.
///
/// It may fail: what then cannot be listened on says so itself.
pub(super) fn take_up_low_ports() {
    if let Ok(mut sets) = capabilities(None)
        && (sets.permitted - sets.effective).contains(CapabilitySet::NET_BIND_SERVICE)
    {
        sets.effective |= CapabilitySet::NET_BIND_SERVICE;
        let _ = set_capabilities(None, sets);
    }
}
