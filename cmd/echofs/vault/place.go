package vault

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"syscall"
)

// A vault notices that it was copied or restored by the inode number of a file
// that is never written again: a copy has another. Then it writes on in new feeds,
// since the original, or others, may have more of the old ones.
const (
	placeName    = "place"    // the inode number of the format file when the vault was last opened
	restoredName = "restored" // empty; there where the vault was put back from a backup and not opened since
)

// MarkRestored says that the vault was put back from a backup.
func (d *Dir) MarkRestored() error { return replaceFile(d.file(restoredName), nil, false) }

// place returns what tells the vault's directory from a copy of it.
func (d *Dir) place() (string, error) {
	st, err := os.Stat(d.file(formatName))
	if err != nil {
		return "", err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return "", fmt.Errorf("%s has no inode number", formatName)
	}
	return fmt.Sprintf("ino %d\n", sys.Ino), nil
}

// isCopy reports whether the vault was copied or restored since it was last
// opened, and where it is now.
func (d *Dir) isCopy() (copied bool, place string, err error) {
	if place, err = d.place(); err != nil {
		return false, "", err
	}
	if _, err := os.Lstat(d.file(restoredName)); err == nil {
		return true, place, nil
	}
	before, err := readPrivate(d.file(placeName), 64)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, place, nil
	}
	return err == nil && string(before) != place, place, err
}

// notePlace makes a vault that was copied or restored write on in new feeds.
// Where it is is noted only then: a crash in between does it again.
func (v *Vault) notePlace(ctx context.Context) error {
	copied, place, err := v.dir.isCopy()
	if err != nil {
		return fmt.Errorf("look whether the vault was copied: %w", err)
	}
	if copied {
		v.log.Warn("this vault was copied or restored: it writes on in new feeds")
		v.copied = true
		if err := v.repo.LeaveFeeds(ctx); err != nil {
			return err
		}
		if err := v.repo.Flush(); err != nil {
			return err
		}
	}
	if before, err := readPrivate(v.dir.file(placeName), 64); err != nil || string(before) != place {
		if err := replaceFile(v.dir.file(placeName), []byte(place), false); err != nil {
			return fmt.Errorf("note where the vault is: %w", err)
		}
	}
	if err := os.Remove(v.dir.file(restoredName)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("note that the vault was restored: %w", err)
	}
	return nil
}
