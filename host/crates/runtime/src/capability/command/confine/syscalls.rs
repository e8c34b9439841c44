//! System calls a child is refused, as seccomp filters made when the grant is loaded.
//!
//! A list of refusals, not of permissions: any program of the machine may be granted, and what each needs is
//! not known. Refused is what reaches other processes, changes the machine, makes namespaces, or is a door to
//! code in the kernel that few programs use.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};
use venom_bundle::capability::CommandGrant;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Always refused.
const REFUSED: [c_long; 55] = [
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // leaving the process group that is killed with the call
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // mounts and namespaces
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    // the kernel itself
    libc::SYS_bpf,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // keys
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // little used, much attacked
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // files past the path checks
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // the machine's name and clock
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_quotactl_fd,
];

/// Refused beside, where the architecture has them.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: [c_long; 5] = [
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: [c_long; 0] = [];

/// Refused to a program that may start no other: signals to anyone (`abort` and `raise` use `tgkill`).
const SIGNALS: [c_long; 5] = [
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
];
#[cfg(target_arch = "x86_64")]
const FORKS: [c_long; 3] = [libc::SYS_clone, libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: [c_long; 1] = [libc::SYS_clone];

/// Namespaces a `clone` could make.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Low bits of a socket's type; above them are flags.
const SOCKET_TYPE: u64 = 0xf;
/// Packets of the wire, the old way (`linux/net.h`).
const SOCK_PACKET: libc::c_int = 10;

/// A grant's filters, applied in order. None where this architecture has none.
#[derive(Debug, Clone)]
pub(in super::super) struct Filters(Option<Arc<[BpfProgram]>>);

impl Filters {
    pub(in super::super) fn for_grant(grant: &CommandGrant) -> Self {
        Self(build(grant).ok().map(Arc::from))
    }

    /// As on a system without seccomp.
    #[cfg(test)]
    pub(in super::super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn programs(&self) -> Option<Arc<[BpfProgram]>> {
        self.0.clone()
    }

    pub(super) fn are_there(&self) -> bool {
        self.0.is_some()
    }
}

/// Whether the kernel has seccomp filters.
pub(super) fn supported() -> bool {
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

fn build(grant: &CommandGrant) -> Result<Vec<BpfProgram>, BackendError> {
    let mut rules = Rules::new();
    for call in REFUSED.into_iter().chain(REFUSED_HERE) {
        rules.insert(call, vec![]);
    }
    // limits of another process
    rules.insert(libc::SYS_prlimit64, vec![rule(&[(0, SeccompCmpOp::Ne, 0)])?]);
    if grant.subprocesses {
        let flag = |flag: libc::c_int| rule(&[(0, SeccompCmpOp::MaskedEq(u64::from(flag.cast_unsigned())), flag)]);
        rules.insert(
            libc::SYS_clone,
            NAMESPACES.into_iter().map(flag).collect::<Result<_, _>>()?,
        );
    } else {
        for call in FORKS.into_iter().chain(SIGNALS) {
            rules.insert(call, vec![]);
        }
    }
    rules.insert(libc::SYS_socket, if grant.network { sockets()? } else { vec![] });
    let absent = Rules::from([(libc::SYS_clone3, vec![])]);
    Ok(vec![
        filter(rules, libc::EPERM)?,
        // its flags lie in memory where no filter sees them; told that it does not exist, libc uses `clone`
        filter(absent, libc::ENOSYS)?,
        no_x32(),
    ])
}

/// What a program with `network` may still not open: anything but internet sockets and the routing table
/// (which name resolution reads). Local sockets are how root services of the machine are spoken to.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let mut rules = vec![
        rule(&[
            (0, Ne, libc::AF_INET),
            (0, Ne, libc::AF_INET6),
            (0, Ne, libc::AF_NETLINK),
        ])?,
        rule(&[(0, Eq, libc::AF_NETLINK), (2, Ne, libc::NETLINK_ROUTE)])?,
    ];
    for family in [libc::AF_INET, libc::AF_INET6] {
        for kind in [libc::SOCK_RAW, SOCK_PACKET] {
            rules.push(rule(&[(0, Eq, family), (1, MaskedEq(SOCKET_TYPE), kind)])?);
        }
    }
    Ok(rules)
}

fn rule(conditions: &[(u8, SeccompCmpOp, libc::c_int)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions.iter().map(|(argument, compare, value)| {
        let value = u64::from(value.cast_unsigned());
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, compare.clone(), value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn filter(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(errno.cast_unsigned());
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, here)?.try_into()
}

/// x86-64 kernels may offer every call a second time under the x32 numbers, past the filters above.
/// (Numbers that large exist on no other architecture.)
fn no_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    let load_number = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
    let is_x32 = instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32);
    let refuse = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let ret = |action: SeccompAction| instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::from(action));
    vec![load_number, is_x32, ret(refuse), ret(SeccompAction::Allow)]
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    // the codes are eight bits wide
    let code = u16::try_from(code).unwrap_or_default();
    sock_filter { code, jt, jf, k }
}
