package echotest_test

import (
	"errors"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
)

// crashingMem gives a MemStore the methods by which the suite makes it crash.
type crashingMem struct{ *echotest.MemStore }

func (m crashingMem) Reopen(*testing.T) echo.Store   { return crashingMem{m.AfterKill()} }
func (m crashingMem) Kill(*testing.T) echo.Store     { return m.AfterKill() }
func (m crashingMem) CutPower(*testing.T) echo.Store { return m.AfterPowerCut() }

func TestMemStore(t *testing.T) {
	echotest.TestStore(t, func(*testing.T) echo.Store { return crashingMem{echotest.NewMemStore()} })
}

func TestMemStoreFail(t *testing.T) {
	m := echotest.NewMemStore()
	full := errors.New("no space left on device")
	var b echo.Batch
	b.Put([]byte("k"), []byte("v"))

	m.Fail(full)
	if err := m.Commit(&b, echo.Kernel); !errors.Is(err, full) {
		t.Errorf("Commit of a failing store: got %v, want %v", err, full)
	}
	if got := m.Len(); got != 0 {
		t.Errorf("after a failed commit: got %d keys, want 0", got)
	}
	m.Fail(nil)
	if err := m.Commit(&b, echo.Kernel); err != nil {
		t.Errorf("Commit after the failure: %v", err)
	}
	if got := m.Len(); got != 1 {
		t.Errorf("after the commit: got %d keys, want 1", got)
	}
}

func TestMemStoreCrashes(t *testing.T) {
	m := echotest.NewMemStore()
	write := func(s echo.Store, key string, d echo.Durability) {
		var b echo.Batch
		b.Put([]byte(key), nil)
		if err := s.Commit(&b, d); err != nil {
			t.Fatal(err)
		}
	}
	write(m, "a", echo.Kernel)
	write(m, "b", echo.Disk)
	write(m, "c", echo.Kernel)
	killed, cut := m.AfterKill(), m.AfterPowerCut()
	write(m, "d", echo.Disk)
	write(cut, "x", echo.Kernel)
	for _, tt := range []struct {
		name  string
		store *echotest.MemStore
		want  int
	}{{"store", m, 4}, {"after kill", killed, 3}, {"after power cut", cut, 3}, {"cut again", cut.AfterPowerCut(), 2}} {
		if got := tt.store.Len(); got != tt.want {
			t.Errorf("%s: got %d keys, want %d", tt.name, got, tt.want)
		}
	}
}
