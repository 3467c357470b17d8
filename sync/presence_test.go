package sync_test

import (
	"testing"
	"time"

	"echofs/echo"
	echosync "echofs/sync"
)

// TestPresence: who has what open is told to members who are connected, to no
// relay, and ends when it is closed or its session ends.
func TestPresence(t *testing.T) {
	r := newRelayStory(t, echo.Options{}, nil)
	object := [16]byte{1, 2, 3}
	r.ada.net.SetOpen(r.adas.ID(), []echosync.Open{{Object: object, Since: time.Now().Add(-time.Minute)}})
	r.bob.net.SetOffline(false)
	sees := func(n int) func() bool {
		return func() bool {
			list := r.bob.net.Present(r.bobs.ID())
			return len(list) == n && (n == 0 || list[0].Object == object && list[0].Device == r.ada.DeviceID() && time.Since(list[0].Since) > 30*time.Second)
		}
	}
	waitFor(t, "bob to see what ada has open", sees(1))
	if list := r.relay.net.Present(r.relays.ID()); len(list) != 0 {
		t.Errorf("the relay is told of %d open objects, want none", len(list))
	}
	r.ada.net.SetOpen(r.adas.ID(), nil)
	waitFor(t, "bob to see that it was closed", sees(0))
	r.ada.net.SetOpen(r.adas.ID(), []echosync.Open{{Object: object, Since: time.Now().Add(-time.Minute)}})
	waitFor(t, "bob to see it again", sees(1))
	r.ada.net.SetOffline(true)
	waitFor(t, "bob to see that ada has gone", sees(0))
	many := make([]echosync.Open, 100)
	for i := range many {
		many[i] = echosync.Open{Object: [16]byte{byte(i)}, Since: time.Now().Add(-time.Hour)}
	}
	many[99] = echosync.Open{Object: object, Since: time.Now().Add(-time.Minute)}
	r.ada.net.SetOpen(r.adas.ID(), many)
	r.ada.net.SetOffline(false)
	waitFor(t, "bob to see the latest of many", func() bool {
		list := r.bob.net.Present(r.bobs.ID())
		return len(list) == 32 && list[0].Object == object
	})
}
