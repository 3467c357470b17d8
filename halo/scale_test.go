package halo_test

import (
	"os"
	"testing"
	"time"

	"echofs/halo"
)

// TestScale measures a long history; it runs where ECHOFS_SCALE is set.
func TestScale(t *testing.T) {
	if os.Getenv("ECHOFS_SCALE") == "" {
		t.Skip("ECHOFS_SCALE is not set")
	}
	alice, bob := newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	roles := []halo.Role{halo.RoleReader, halo.RoleEditor}
	for i := range 2000 {
		s.set(t, bob, roles[i%2])
	}
	var raw [][]byte
	for _, c := range s.All() {
		raw = append(raw, c.Bytes())
	}
	start := time.Now()
	g := halo.NewGraph(s.Space())
	check(t, g.Load(raw))
	t.Logf("%d credentials loaded in %v", g.Len(), time.Since(start))
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("loading %d credentials took %v", g.Len(), took)
	}
}
