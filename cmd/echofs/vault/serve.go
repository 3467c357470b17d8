package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// register enters everything that this vault answers.
func (v *Vault) register() {
	control.Handle(v.server, control.Ping, v.ping)
	v.registerStatus()
	v.registerSpaces()
	v.registerRoles()
	v.registerArchives()
	v.registerObjects()
	v.registerRescue()
	v.registerNetwork()
	v.registerMounts()
	v.registerChecks()
}

func (v *Vault) ping(context.Context, control.None) (control.Pong, error) {
	return control.Pong{Version: v.opts.Version, PID: os.Getpid(), Home: v.dir.path, Mounts: v.mounts.dirs()}, nil
}

// space finds a space by what was typed.
func (v *Vault) space(nameOrID string) (*echo.Space, error) {
	s, err := v.repo.FindSpace(nameOrID)
	return s, control.WithHint(err, "see: echofs space list")
}

// spacesAsked returns the space that was named, or all where none was.
func (v *Vault) spacesAsked(nameOrID string) ([]*echo.Space, error) {
	if nameOrID == "" {
		return v.repo.Spaces(), nil
	}
	s, err := v.space(nameOrID)
	if err != nil {
		return nil, err
	}
	return []*echo.Space{s}, nil
}

// resolve finds a file by what was typed: a path in a mount, or SPACE/path.
func (v *Vault) resolve(ref control.PathRef) (echo.Node, string, error) {
	path, ok := v.mounts.resolve(ref.Abs)
	if !ok {
		var err error
		if path, err = v.spacePath(ref.Arg); err != nil {
			return echo.Node{}, "", err
		}
	}
	node, err := v.repo.Resolve(path)
	if ok && errors.Is(err, echo.ErrNotFound) {
		// In a mount there is no such file here: it may be meant as SPACE/path.
		if other, e := v.spacePath(ref.Arg); e == nil {
			if n, e := v.repo.Resolve(other); e == nil {
				return n, other, nil
			}
		}
	}
	if err != nil {
		return echo.Node{}, "", fmt.Errorf("find %s: %w", ref.Arg, err)
	}
	return node, path, nil
}

// spacePath replaces the name or id at the beginning of SPACE/path by the
// space's name.
func (v *Vault) spacePath(arg string) (string, error) {
	if strings.HasPrefix(arg, "/") || strings.HasPrefix(arg, ".") {
		return "", control.WithHint(fmt.Errorf("find %s: it is not in a mount of this vault: %w", arg, echo.ErrNotFound),
			"give a path in a mount, or SPACE/path; see: echofs status")
	}
	name, rest, _ := strings.Cut(strings.TrimRight(arg, "/"), "/")
	s, err := v.space(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", arg, err)
	}
	return strings.Trim(s.Name()+"/"+rest, "/"), nil
}

// seen returns a time as the documents have it: null for never.
func seen(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// list returns a list that is never null as JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
