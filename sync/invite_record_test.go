package sync_test

import (
	"bytes"
	"testing"

	"echofs/halo"
	echosync "echofs/sync"
	"echofs/sync/wire"
)

// What decodes encodes to the same bytes, and says what it is without a panic.
func FuzzInviteRecord(f *testing.F) {
	b, err := wire.Encode(echosync.InviteRecord{Code: "echofs1-x", Digits: "123456", State: halo.HostOpen, Wrong: 1 << 40})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := echosync.DecodeInviteRecord(b)
		if err != nil {
			return
		}
		if left := echosync.InviteTries(r); left < 0 || left > halo.AuthTries {
			t.Errorf("%d tries left", left)
		}
		if again, err := wire.Encode(r); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encodes to %x, %v; was %x", again, err, b)
		}
	})
}
