package vault

import (
	"fmt"
	iofs "io/fs"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
)

// writable fails with an error that wraps syscall.EROFS while the vault lies on a
// file system that is mounted read-only, as one is that the kernel has found
// damaged.
func (d *Dir) writable() error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.path, &st); err != nil || st.Flags&unix.ST_RDONLY == 0 {
		return nil // whoever writes will be told of other failures
	}
	return control.WithHint(fmt.Errorf("the disk of the vault is read-only: %w", &iofs.PathError{Op: "write", Path: d.path, Err: unix.EROFS}),
		"see why (dmesg), make it writable (mount -o remount,rw), or move the vault to another disk")
}

// diskWarnings tells of a disk on which nothing can be saved.
func (v *Vault) diskWarnings() []control.Warning {
	err := v.dir.writable()
	if err == nil {
		return nil
	}
	return []control.Warning{{Code: "disk_read_only", Message: "nothing can be saved: " + err.Error(), Fix: control.HintOf(err)}}
}
