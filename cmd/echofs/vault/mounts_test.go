package vault

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

// fakeMount is a mount that is in use or not.
type fakeMount struct {
	busy   bool
	once   sync.Once
	done   chan struct{}
	closed chan struct{}
}

func newFake(busy bool) *fakeMount {
	return &fakeMount{busy: busy, done: make(chan struct{}), closed: make(chan struct{}, 9)}
}

func (f *fakeMount) Unmount(lazy bool) error {
	if f.busy && !lazy {
		return unix.EBUSY
	}
	f.once.Do(func() { close(f.done) })
	return nil
}

func (f *fakeMount) Done() <-chan struct{} { return f.done }

func (f *fakeMount) Close() error {
	f.closed <- struct{}{}
	return f.Unmount(true)
}

func fakeMounts(fakes map[string]*fakeMount) *mounts {
	return newMounts(slog.New(slog.DiscardHandler), func(_ context.Context, r control.MountRequest) (mounted, error) {
		if f, ok := fakes[r.Dir]; ok {
			return f, nil
		}
		return nil, errors.New("no such directory")
	})
}

func add(t *testing.T, s *mounts, dir string) <-chan struct{} {
	t.Helper()
	gone, err := s.add(t.Context(), control.MountRequest{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return gone
}

func TestMountsComeAndGo(t *testing.T) {
	fakes := map[string]*fakeMount{"/a": newFake(false), "/b": newFake(true)}
	s := fakeMounts(fakes)
	add(t, s, "/a")
	add(t, s, "/b")
	if _, err := s.add(t.Context(), control.MountRequest{Dir: "/a"}); !errors.Is(err, ErrMounted) {
		t.Errorf("the same directory twice: got %v, want %v", err, ErrMounted)
	}
	if got, want := s.dirs(), []string{"/a", "/b"}; !slices.Equal(got, want) {
		t.Errorf("dirs: got %q, want %q", got, want)
	}
	if _, err := s.unmount("/b", false); !errors.Is(err, unix.EBUSY) || control.HintOf(err) == "" {
		t.Errorf("in use: got %v, want %v with a hint", err, unix.EBUSY)
	}
	if last, err := s.unmount("/a", false); last || err != nil {
		t.Errorf("first of two: got last %v, %v", last, err)
	}
	if _, err := s.unmount("/a", false); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("again: got %v, want %v", err, echo.ErrNotFound)
	}
	if last, err := s.unmount("/b", true); !last || err != nil {
		t.Errorf("last of two: got last %v, %v", last, err)
	}
	receive(t, s.gone, "the last mount has gone")
	for dir, f := range fakes {
		receive(t, f.closed, "close of "+dir)
	}
}

func receive[T any](t *testing.T, c <-chan T, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatalf("waited in vain: %s", what)
	}
}

// A mount that somebody else takes away is not forgotten.
func TestMountsUnmountedByOthers(t *testing.T) {
	f := newFake(false)
	s := fakeMounts(map[string]*fakeMount{"/a": f})
	gone := add(t, s, "/a")
	close(f.done)
	f.once.Do(func() {})
	receive(t, gone, "done")
	receive(t, f.closed, "close")
	receive(t, s.gone, "the last mount has gone")
	if got := s.dirs(); len(got) != 0 {
		t.Errorf("dirs: got %q, want none", got)
	}
}

func TestMountsCloseAll(t *testing.T) {
	fakes := map[string]*fakeMount{"/a": newFake(false), "/b": newFake(true)}
	s := fakeMounts(fakes)
	add(t, s, "/a")
	add(t, s, "/b")
	if err := s.closeAll(); err != nil {
		t.Fatal(err)
	}
	for dir, f := range fakes {
		receive(t, f.done, "end of "+dir)
	}
	if _, err := s.add(t.Context(), control.MountRequest{Dir: "/c"}); !errors.Is(err, echo.ErrClosed) {
		t.Errorf("after the end: got %v, want %v", err, echo.ErrClosed)
	}
}

// A mount that fails leaves nothing behind.
func TestMountsFailure(t *testing.T) {
	s := fakeMounts(nil)
	if _, err := s.add(t.Context(), control.MountRequest{Dir: "/x"}); err == nil {
		t.Error("got no error of the mount")
	}
	if got := s.dirs(); len(got) != 0 {
		t.Errorf("dirs: got %q, want none", got)
	}
}

func TestResolve(t *testing.T) {
	s := fakeMounts(map[string]*fakeMount{"/home/ada/echo": newFake(false), "/home/ada/echo/in": newFake(false), "/m": newFake(false)})
	for _, dir := range []string{"/home/ada/echo", "/home/ada/echo/in", "/m"} {
		add(t, s, dir)
	}
	tests := []struct {
		abs, want string
		ok        bool
	}{
		{"/home/ada/echo/notes/a.md", "notes/a.md", true},
		{"/home/ada/echo", "", true},
		{"/home/ada/echo/in/notes/a.md", "notes/a.md", true},
		{"/home/ada/echoes/notes/a.md", "", false},
		{"/m/notes/", "notes", true},
		{"/home/ada", "", false},
		{"", "", false},
	}
	for _, test := range tests {
		got, ok := s.resolve(test.abs)
		if got != test.want || ok != test.ok {
			t.Errorf("resolve(%q): got %q, %v, want %q, %v", test.abs, got, ok, test.want, test.ok)
		}
	}
}

func TestParseMountinfo(t *testing.T) {
	const info = `22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw
60 22 0:50 / /home/ada/echo rw,nosuid,nodev - fuse.echofs echofs rw,user_id=0
61 22 0:51 / /home/ada/my\040echo rw,nosuid,nodev shared:1 master:2 - fuse.echofs echofs rw
62 22 0:52 / /mnt/ssh rw - fuse.sshfs host:/ rw
63 22 0:53 / /tmp/fuse.echofs rw - tmpfs tmpfs rw
broken
`
	want := []string{"/home/ada/echo", "/home/ada/my echo"}
	if got := parseMountinfo([]byte(info)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestState(t *testing.T) {
	tests := []struct {
		devices, connected int
		receiving          bool
		behind             int
		want               string
	}{
		{0, 0, false, 0, control.StateAlone},
		{2, 0, false, 2, control.StateOffline},
		{2, 2, false, 0, control.StateSynced},
		{2, 2, false, 1, control.StateSyncing},
		{2, 1, false, 1, control.StateSynced}, // the one that is away
		{2, 2, true, 0, control.StateSyncing},
	}
	for _, test := range tests {
		if got := state(test.devices, test.connected, test.receiving, test.behind); got != test.want {
			t.Errorf("state%+v: got %s", test, got)
		}
	}
}

func TestEnough(t *testing.T) {
	a, b := control.DeviceRef{ID: "edv1aaaaaaaa", Name: "laptop"}, control.DeviceRef{ID: "edv1bbbbbbbb", Name: "phone"}
	has := control.WaitReply{Acknowledged: []control.DeviceRef{a}, Missing: []control.DeviceRef{b}}
	tests := []struct {
		name   string
		reply  control.WaitReply
		req    control.WaitRequest
		wanted bool
		want   bool
	}{
		{"nobody else", control.WaitReply{}, control.WaitRequest{}, false, true},
		{"all, one lacks it", has, control.WaitRequest{}, false, false},
		{"one is enough", has, control.WaitRequest{Peers: 1}, false, true},
		{"two are wanted", has, control.WaitRequest{Peers: 2}, false, false},
		{"one is wanted, nobody is there", control.WaitReply{}, control.WaitRequest{Peers: 1}, false, false},
		{"the named one has it", has, control.WaitRequest{Device: "laptop"}, true, true},
		{"the named one lacks it", has, control.WaitRequest{Device: "phone"}, false, false},
	}
	for _, test := range tests {
		if got := enough(test.reply, test.req, test.wanted); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
	for typed, want := range map[string]bool{"laptop": true, "edv1aaaaaaaa": true, "EDV1aaaa": true, "edv1": false, "": false, "phone": false} {
		if got := isDevice(a, typed); got != want {
			t.Errorf("isDevice(%q): got %v, want %v", typed, got, want)
		}
	}
}
