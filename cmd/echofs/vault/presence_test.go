package vault

import (
	"testing"
	"time"

	"echofs/echo"
	"echofs/echo/doc"
	echosync "echofs/sync"
)

// What is open for a moment is not told; what stays open is, once however often it
// is open, and its end too.
func TestPresences(t *testing.T) {
	told := make(chan []echosync.Open, 16)
	p := newPresences(func(_ echo.SpaceID, list []echosync.Open) { told <- list })
	defer p.close()
	brief := echo.Node{Space: echo.SpaceID{1}, ID: doc.ObjectID{1}}
	p.opened(brief)()
	long := echo.Node{Space: echo.SpaceID{1}, ID: doc.ObjectID{2}}
	first, second := p.opened(long), p.opened(long)
	next := func() []echosync.Open {
		t.Helper()
		select {
		case list := <-told:
			return list
		case <-time.After(20 * time.Second):
			t.Fatal("nothing is told")
			return nil
		}
	}
	if list := next(); len(list) != 1 || list[0].Object != [16]byte(long.ID) {
		t.Errorf("told of %v, want the object that stays open", list)
	}
	first()
	second()
	if list := next(); len(list) != 0 {
		t.Errorf("told of %v, want nothing", list)
	}
	if len(p.open) != 0 {
		t.Errorf("%d objects are remembered, want none", len(p.open))
	}
}
