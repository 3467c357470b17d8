package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"echofs/cmd/echofs/control"
	"echofs/echo"
	"echofs/halo"
	echosync "echofs/sync"
)

// transports runs a test by a call in this process and over a socket.
func transports(t *testing.T, s *control.Server, test func(t *testing.T, c *control.Client)) {
	t.Helper()
	t.Run("local", func(t *testing.T) { test(t, control.NewClient(control.Local(s))) })
	t.Run("socket", func(t *testing.T) {
		dir := privateDir(t)
		serve(t, dir, s)
		c := control.NewClient(control.Dialer(dir))
		t.Cleanup(c.Close)
		test(t, c)
	})
}

func privateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func serve(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	l, err := control.Listen(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(dir, control.SocketName)); !errors.Is(err, iofs.ErrNotExist) {
			t.Errorf("socket after Serve: got %v, want none", err)
		}
	})
}

func newServer() *control.Server { return control.NewServer(slog.New(slog.DiscardHandler)) }

func TestCall(t *testing.T) {
	s := newServer()
	control.Handle(s, control.CreateSpace, func(_ context.Context, req control.SpaceCreate) (control.Space, error) {
		return control.Space{Name: req.Name, ID: "B1"}, nil
	})
	transports(t, s, func(t *testing.T, c *control.Client) {
		got, err := control.Call(t.Context(), c, control.CreateSpace, control.SpaceCreate{Name: "notes"})
		want := control.Space{Name: "notes", ID: "B1"}
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	})
}

func TestCallErrors(t *testing.T) {
	errs := map[string]error{
		"gone":    fmt.Errorf("find space %q: %w", "gone", echo.ErrNotFound),
		"reader":  control.WithHint(fmt.Errorf("write: %w", echo.ErrReadOnly), "ask the owner"),
		"strange": errors.New("strange"),
	}
	s := newServer()
	control.Handle(s, control.GetSpace, func(_ context.Context, req control.SpaceRef) (control.SpaceInfo, error) {
		if req.Space == "panic" {
			panic("index out of range")
		}
		return control.SpaceInfo{}, errs[req.Space]
	})
	tests := []struct {
		space string
		code  control.Code
		text  string
		hint  string
	}{
		{"gone", control.NotFound, `find space "gone": not found`, ""},
		{"reader", control.Refused, "write: not permitted by your role in the space", "ask the owner"},
		{"strange", control.Failed, "strange", ""},
		{"panic", control.Failed, "space/info: a defect in echofs: index out of range", ""},
	}
	transports(t, s, func(t *testing.T, c *control.Client) {
		for _, test := range tests {
			_, err := control.Call(t.Context(), c, control.GetSpace, control.SpaceRef{Space: test.space})
			if err == nil || control.CodeOf(err) != test.code || err.Error() != test.text || control.HintOf(err) != test.hint {
				t.Errorf("%s: got %v (%s, hint %q), want %s (%s, hint %q)", test.space,
					err, control.CodeOf(err), control.HintOf(err), test.text, test.code, test.hint)
			}
		}
	})
}

func TestUnknownMethodAndField(t *testing.T) {
	s := newServer()
	control.Handle(s, control.GetSpace, func(context.Context, control.SpaceRef) (control.SpaceInfo, error) {
		return control.SpaceInfo{}, nil
	})
	tests := []struct{ path, body, want string }{
		{"/v1/space/new-thing", "{}", "does not know"},
		{"/v1/space/info", `{"space":"a","force":true}`, "unknown field"},
		{"/v1/space/info", `{"space":`, "read request"},
		{"/v1/space/info", `{"space":"` + strings.Repeat("a", control.MaxRequest) + `"}`, "larger than"},
	}
	for _, test := range tests {
		req, err := http.NewRequest(http.MethodPost, "http://vault"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := control.Local(s).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if !bytes.Contains(b, []byte(test.want)) || !bytes.Contains(b, []byte(`{"error":`)) {
			t.Errorf("%s: got %s, want an error with %q", test.path, b, test.want)
		}
	}
}

// A stream arrives item by item, and ends on both sides when the caller has
// had enough.
func TestStream(t *testing.T) {
	ended := make(chan error, 1)
	next := make(chan int)
	s := newServer()
	control.HandleStream(s, control.WatchStatus,
		func(ctx context.Context, _ control.None, send func(control.StatusReply) error) error {
			for {
				select {
				case n := <-next:
					if err := send(control.StatusReply{Mounts: make([]string, n)}); err != nil {
						ended <- err
						return err
					}
				case <-ctx.Done():
					ended <- ctx.Err()
					return ctx.Err()
				}
			}
		})
	transports(t, s, func(t *testing.T, c *control.Client) {
		enough := errors.New("enough")
		want := 1
		go func() { next <- 1 }()
		err := control.Each(t.Context(), c, control.WatchStatus, control.None{}, func(r control.StatusReply) error {
			if len(r.Mounts) != want {
				t.Errorf("got item %d, want %d", len(r.Mounts), want)
			}
			if want == 3 {
				return enough
			}
			want++
			go func() { next <- want }()
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("got %v, want %v", err, enough)
		}
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("the handler did not end")
		}
	})
}

func TestUpload(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // larger than a request may be
	s := newServer()
	control.HandleUpload(s, control.ImportSpace,
		func(_ context.Context, req control.SpaceImport, body io.Reader) (control.Space, error) {
			got, err := io.ReadAll(body)
			if err != nil {
				return control.Space{}, err
			}
			return control.Space{Name: req.Name, Open: bytes.Equal(got, want), Objects: len(got)}, nil
		})
	transports(t, s, func(t *testing.T, c *control.Client) {
		for _, body := range [][]byte{want, nil} {
			got, err := control.Send(t.Context(), c, control.ImportSpace, control.SpaceImport{Name: "old"}, bytes.NewReader(body))
			if err != nil || got.Objects != len(body) || got.Open != (body != nil) {
				t.Errorf("got %+v, %v, want the %d bytes that were sent", got, err, len(body))
			}
		}
	})
}

// A daemon that ends in the middle of a reply is not taken for the end of it.
func TestReplyCutOff(t *testing.T) {
	dir := privateDir(t)
	serve(t, dir, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"item":{"mounts":[]}}`+"\n")
	}))
	c := control.NewClient(control.Dialer(dir))
	defer c.Close()
	_, err := control.Call(t.Context(), c, control.Ping, control.None{})
	if !errors.Is(err, control.ErrCut) {
		t.Errorf("got %v, want %v", err, control.ErrCut)
	}
}

func TestSocketInDeepDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 60))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newServer()
	control.Handle(s, control.Ping, func(context.Context, control.None) (control.Pong, error) {
		return control.Pong{PID: 7}, nil
	})
	serve(t, dir, s)
	st, err := os.Stat(filepath.Join(dir, control.SocketName))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: got %v, %v, want mode 0600", st, err)
	}
	got, err := control.Call(t.Context(), control.NewClient(control.Dialer(dir)), control.Ping, control.None{})
	if err != nil || got.PID != 7 {
		t.Errorf("got %+v, %v, want pid 7", got, err)
	}
}

func TestOpenDirectoryIsRefused(t *testing.T) {
	dir := privateDir(t)
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), dir); control.CodeOf(err) != control.Refused {
		t.Errorf("Dial: got %v, want refused", err)
	}
	l, err := control.Listen(dir, slog.New(slog.DiscardHandler))
	if control.CodeOf(err) != control.Refused || control.HintOf(err) == "" {
		t.Errorf("Listen: got %v, want refused, with a hint", err)
	}
	if l != nil {
		_ = l.Close()
	}
}

// What a killed daemon leaves behind does not look like a daemon, and is in
// nobody's way.
func TestStaleSocket(t *testing.T) {
	dir := privateDir(t)
	if _, err := control.Dial(t.Context(), dir); !control.IsAbsent(err) {
		t.Errorf("without socket: got %v, want absent", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, control.SocketName)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Dial(t.Context(), dir); !control.IsAbsent(err) || !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("stale socket: got %v, want connection refused", err)
	}
	serve(t, dir, newServer())
	c, err := control.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

func TestCodes(t *testing.T) {
	tests := []struct {
		err  error
		code control.Code
		exit int
	}{
		{errors.New("disk full"), control.Failed, 1},
		{control.ErrUsage, control.Usage, 2},
		{echo.ErrAmbiguous, control.Usage, 2},
		{echo.ErrNotFound, control.NotFound, 3},
		{iofs.ErrNotExist, control.NotFound, 3},
		{echo.ErrReadOnly, control.Refused, 4},
		{halo.ErrNotAllowed, control.Refused, 4},
		{halo.ErrBadCode, control.Refused, 4},
		{echosync.ErrWrongCode, control.Refused, 4},
		{echosync.ErrUnreachable, control.Timeout, 5},
		{control.ErrNobody, control.Timeout, 5},
		{context.DeadlineExceeded, control.Timeout, 5},
		{&control.Error{Code: control.Refused, Message: "wrong code"}, control.Refused, 4},
	}
	for _, test := range tests {
		err := fmt.Errorf("while testing: %w", test.err)
		got := control.CodeOf(err)
		if got != test.code || got.Exit() != test.exit {
			t.Errorf("%v: got %s, exit %d, want %s, exit %d", err, got, got.Exit(), test.code, test.exit)
		}
		hinted := control.WithHint(err, "do this")
		if control.CodeOf(hinted) != test.code || control.HintOf(fmt.Errorf("outer: %w", hinted)) != "do this" ||
			!errors.Is(hinted, test.err) {
			t.Errorf("%v: a hint changed the error", err)
		}
	}
}

// Every method has a scope, and what the vault's owner alone may do stays so:
// a change of this list is a decision.
func TestScopes(t *testing.T) {
	owner := []string{"audit", "device/invite", "device/rename", "device/revoke", "doctor", "fsck", "identity/rename", "lock", "mount/add", "mount/remove", "passphrase/remove", "passphrase/set", "phrase/show", "space/leave"}
	var got []string
	for _, m := range control.Methods() {
		if m.Scope == "" {
			t.Errorf("%s has no scope", m.Name)
		}
		if m.Scope == control.Owner {
			got = append(got, m.Name)
		}
	}
	if !slices.Equal(got, owner) {
		t.Errorf("methods of the owner: got %q, want %q", got, owner)
	}
}
