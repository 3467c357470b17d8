package echo_test

import (
	"context"
	"fmt"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// A third member gets the feeds of two others who answered each other, the one
// that depends on the other first: nothing waits for ever.
func TestEntriesThatWaitForEachOther(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"n":0}`)
	echotest.Exchange(t, w.adas, w.bobs)
	for i := 1; i <= 20; i++ {
		write(t, w.ada, "notes/f.json", fmt.Sprintf(`{"n":%d}`, 2*i-1))
		echotest.Exchange(t, w.adas, w.bobs)
		write(t, w.bob, "notes/f.json", fmt.Sprintf(`{"n":%d}`, 2*i))
		echotest.Exchange(t, w.adas, w.bobs)
	}
	for _, bobFirst := range []bool{true, false} {
		eve := echotest.NewVault(t, "eve", echo.Options{})
		ctx := context.Background()
		if err := w.adas.Admit(ctx, eve.IdentityCredentials(), eve.DeviceID(), halo.RoleEditor); err != nil {
			t.Fatal(err)
		}
		creds, _ := w.adas.Credentials()
		eves, err := eve.Join(ctx, echo.Admission{Space: w.adas.ID(), Credentials: creds, Name: "notes"})
		if err != nil {
			t.Fatal(err)
		}
		have, _ := w.adas.Vector()
		for _, own := range []bool{bobFirst, !bobFirst} {
			for feed, pos := range have {
				_, isBobs := w.bobs.Own()[feed]
				if isBobs != own {
					continue
				}
				entries, err := w.adas.Entries(feed, 0, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if next, err := eves.Ingest(ctx, feed, 0, entries); err != nil || next != pos.Next {
					t.Fatalf("ingest: %d of %d, %v", next, pos.Next, err)
				}
			}
		}
		if got, want := show(t, eve, "notes/f.json"), show(t, w.ada, "notes/f.json"); got != want {
			t.Errorf("bob first %v: eve has %s, want %s", bobFirst, got, want)
		}
		if info, err := eves.Info(ctx); err != nil || info.Waiting != 0 {
			t.Errorf("bob first %v: %d entries wait, %v", bobFirst, info.Waiting, err)
		}
	}
}
