package sync_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/echotest"
	echosync "echofs/sync"
)

// runVault runs the network of a real vault.
func runVault(tb testing.TB, name string, opts echosync.Options) (*echotest.Vault, *echosync.Network) {
	tb.Helper()
	v := echotest.NewVault(tb, name, echo.Options{})
	opts.Logger = testLogger(name)
	n, err := echosync.New(echosync.Vault(v.Repo), opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Run(ctx)
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
	})
	return v, n
}

func save(tb testing.TB, v *echotest.Vault, space *echo.Space, name, content string) {
	tb.Helper()
	node, err := v.Lookup(space.Ino(), name)
	if err != nil {
		if node, err = v.CreateFile(tb.Context(), space.Ino(), name, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := v.Save(tb.Context(), echo.Save{Ino: node.Ino, Data: []byte(content), Rule: "test"}); err != nil {
		tb.Fatal(err)
	}
}

// shows waits until a file of a space has a content.
func shows(tb testing.TB, v *echotest.Vault, space *echo.Space, name, content string) {
	tb.Helper()
	sub := v.Subscribe(echo.Data | echo.Added)
	defer sub.Close()
	deadline := time.NewTimer(15 * time.Second)
	defer deadline.Stop()
	for {
		var got string
		if node, err := v.Lookup(space.Ino(), name); err == nil {
			if c, err := v.Content(node.Ino); err == nil {
				got = string(c.Data)
			}
		}
		if sameJSON(got, content) {
			return
		}
		select {
		case <-sub.C():
			sub.Take()
		case <-deadline.C:
			tb.Fatalf("%s shows %q, want %q", name, got, content)
		}
	}
}

// sameJSON compares without regard to layout, which is each machine's own.
func sameJSON(a, b string) bool {
	var va, vb any
	return json.Unmarshal([]byte(a), &va) == nil && json.Unmarshal([]byte(b), &vb) == nil && reflect.DeepEqual(va, vb)
}

func TestRealVaults(t *testing.T) {
	url, _ := startSignal(t, "")
	ada, adaN := runVault(t, "ada", echosync.Options{Signal: []string{url}})
	ben, benN := runVault(t, "ben", echosync.Options{})
	notes, err := ada.CreateSpace(t.Context(), "notes")
	if err != nil {
		t.Fatal(err)
	}
	save(t, ada, notes, "milk.json", `{"title":"Buy milk","done":false}`)
	inv, err := adaN.Invite(t.Context(), echosync.InviteOptions{Space: notes.ID(), AuthCode: true})
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Cancel()
	start := time.Now()
	joined, err := benN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())})
	if err != nil {
		t.Fatal(err)
	}
	space, ok := ben.SpaceByID(joined.ID())
	if !ok {
		t.Fatal("the joined space is not open")
	}
	shows(t, ben, space, "milk.json", `{"title":"Buy milk","done":false}`)
	t.Logf("joined and synced after %v", time.Since(start))

	const rounds = 20
	var total time.Duration
	for i := range rounds {
		content := fmt.Sprintf(`{"title":"Buy milk","n":%d}`, i)
		save(t, ada, notes, "milk.json", content)
		start := time.Now()
		shows(t, ben, space, "milk.json", fmt.Sprintf(`{"title":"Buy milk","n":%d}`, i))
		total += time.Since(start)
	}
	t.Logf("from the end of a save to its sight at the other end: mean %v", total/rounds)
	save(t, ben, space, "bread.json", `{"title":"Bread"}`)
	shows(t, ada, notes, "bread.json", `{"title":"Bread"}`)
	waitFor(t, "acknowledgement", func() bool { return len(space.AckedBy(space.Own())) == 1 })
}
