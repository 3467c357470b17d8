package echo_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"echofs/echo/echotest"
)

// TestOneEntryIsOneRevision saves a new file again before it has settled, which
// goes out in one entry: all vaults number its revisions alike.
func TestOneEntryIsOneRevision(t *testing.T) {
	w := newWorld(t)
	w.ada.Opts.SettleDelay = time.Minute
	reopen(t, w.ada)
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	write(t, w.ada, "notes/f.json", `{"x":1}`)
	write(t, w.ada, "notes/f.json", `{"x":1,"y":2}`)
	write(t, w.ada, "notes/f.json", `{"x":1,"y":3}`)
	echotest.Exchange(t, w.adas, w.bobs)
	want := []string{"created", "changed"}
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		if got := summaries(t, v, "notes/f.json"); !slices.Equal(got, want) {
			t.Errorf("got revisions %q, want %q", got, want)
		}
	}
	a, _ := w.ada.Resolve("notes/f.json")
	b, _ := w.bob.Resolve("notes/f.json")
	revsA, _ := w.ada.History(context.Background(), a.Ino)
	revsB, _ := w.bob.History(context.Background(), b.Ino)
	for i := range min(len(revsA), len(revsB)) {
		if revsA[i].Change != revsB[i].Change || !slices.Equal(revsA[i].Fields, revsB[i].Fields) {
			t.Errorf("revision %d: ada has %+v, bob has %+v", revsA[i].Rev, revsA[i], revsB[i])
		}
	}
}

// TestBothDeletesAreLogged lets two people delete a file who do not know of each
// other, and brings it back to look at its history.
func TestBothDeletesAreLogged(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	echotest.Exchange(t, w.adas, w.bobs)
	n, _ := w.ada.Resolve("notes/f.json")
	remove(t, w.ada, "notes/f.json")
	remove(t, w.bob, "notes/f.json")
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		reopen(t, v) // closing does what waits for its time
	}
	w.adas, _ = w.ada.SpaceByID(w.adas.ID())
	w.bobs, _ = w.bob.SpaceByID(w.bobs.ID())
	echotest.Exchange(t, w.adas, w.bobs)
	if _, err := w.ada.RestoreDeleted(context.Background(), w.adas.ID(), n.ID); err != nil {
		t.Fatal(err)
	}
	echotest.Exchange(t, w.adas, w.bobs)
	want := []string{"created", "deleted", "deleted", "restored"}
	for _, v := range []*echotest.Vault{w.ada, w.bob} {
		if got := summaries(t, v, "notes/f.json"); !slices.Equal(got, want) {
			t.Errorf("got revisions %q, want %q", got, want)
		}
	}
}

// TestFreshFilesAreNotCounted makes a file without saving anything in it.
func TestFreshFilesAreNotCounted(t *testing.T) {
	w := newWorld(t)
	put(t, w.ada, "notes/f.json", `{"x":1}`)
	before, err := w.adas.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ada.CreateFile(t.Context(), w.adas.Ino(), "new.json", 0); err != nil {
		t.Fatal(err)
	}
	after, err := w.adas.Info(t.Context())
	if err != nil || after.Objects != before.Objects || after.Unsettled != 0 {
		t.Errorf("got %d objects, %d unsettled, %v; want %d and 0", after.Objects, after.Unsettled, err, before.Objects)
	}
	write(t, w.ada, "notes/new.json", `{}`)
	if after, err = w.adas.Info(t.Context()); err != nil || after.Objects != before.Objects+1 {
		t.Errorf("got %d objects, %v; want %d", after.Objects, err, before.Objects+1)
	}
}
