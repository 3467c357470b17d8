package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/fs"
)

// unmountPatience is how long an unmount waits for programs that are just done.
const unmountPatience = 500 * time.Millisecond

// treeMount is a mounted file system.
type treeMount struct {
	fsys *fs.FileSystem
	done chan struct{}
}

var _ mounted = (*treeMount)(nil)

// mountTree mounts the vault, or one space of it.
func (v *Vault) mountTree(_ context.Context, req control.MountRequest) (mounted, error) {
	opts := fs.Options{LocalDir: v.dir.file(localName), AllowOther: req.AllowOther, ReadOnly: req.ReadOnly, XAttr: req.Xattr,
		Control: v.controlFile, Helper: helperCommand(), Opened: v.opened(), Present: v.presentAt, Logger: v.log}
	if req.Space != "" {
		s, err := v.space(req.Space)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", req.Dir, err)
		}
		opts.Space = s.ID()
	}
	fsys, err := fs.New(v.repo, opts)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", req.Dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(req.Dir), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("mount: %w", err), fsys.Close())
	}
	if err := fsys.Mount(req.Dir); err != nil {
		return nil, errors.Join(mountError(req.Dir, err), fsys.Close())
	}
	m := &treeMount{fsys: fsys, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		fsys.Wait()
	}()
	return m, nil
}

// helperCommand is this program as the helper of a mount; nil where it cannot
// be found any more.
func helperCommand() []string {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{self, "poke"}
}

// mountError says what can be done about a mount that failed.
func mountError(dir string, err error) error {
	err = fmt.Errorf("mount: %w", err)
	switch {
	case errors.Is(err, fs.ErrMounted):
		return control.WithHint(err, "unmount it with: echofs umount "+dir)
	case errors.Is(err, fs.ErrMountpoint):
		return control.WithHint(fmt.Errorf("%w: %w", err, control.ErrRefused), "choose an empty directory of your own, which is made if it is missing")
	case errors.Is(err, fs.ErrNoFUSE):
		return control.WithHint(err, "see: echofs doctor")
	}
	return err
}

// Unmount implements mounted.
func (m *treeMount) Unmount(lazy bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), unmountPatience)
	defer cancel()
	for {
		err := Detach(context.WithoutCancel(ctx), m.fsys.Dir(), lazy)
		if err == nil {
			return nil
		}
		select {
		case <-m.done: // somebody else was faster
			return nil
		default:
		}
		if pause(ctx, unmountPatience/10) != nil {
			return err
		}
	}
}

// Done implements mounted.
func (m *treeMount) Done() <-chan struct{} { return m.done }

// Close implements mounted.
func (m *treeMount) Close() error { return m.fsys.Close() }

// controlFile returns what the mount shows as a file in a control directory.
func (v *Vault) controlFile(ctx context.Context, name string) ([]byte, error) {
	doc, err := v.controlDocument(ctx, name)
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(doc, "", "  ")
	return append(b, '\n'), err
}

func (v *Vault) controlDocument(ctx context.Context, name string) (any, error) {
	switch name {
	case "status.json":
		return v.status(ctx, control.None{})
	case "identity.json":
		return v.Identity(), nil
	case "peers.json":
		return v.peers(ctx, control.None{})
	}
	if id, ok := strings.CutSuffix(name, "/status.json"); ok {
		s, err := v.space(id)
		if err != nil {
			return nil, err
		}
		return v.spaceStatus(ctx, s)
	}
	return nil, fmt.Errorf("control file %q: %w", name, echo.ErrNotFound)
}
