package sync

import (
	"context"
	"sync"

	"echofs/halo"
)

// reception is the part of a host that lets guests in whom it does not know: they
// have no id in its meetings yet. It implements host.
type reception struct {
	n      *Network
	most   int               // guests at a time
	talk   func(*talk) error // the conversation with one
	parted func(error)       // told when a guest is gone

	ctx context.Context // of the conversations
	wg  sync.WaitGroup

	mu     sync.Mutex // guards the below
	closed bool
	guests int
}

var _ host = (*reception)(nil)

func (r *reception) device() halo.DeviceID { return r.n.repo.DeviceID() }

func (r *reception) start(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wg.Go(f)
	}
}

// announced implements host: guests do not say who they are, and are told where
// the host is; other hosts do, and have nothing to say to each other here.
func (r *reception) announced(device halo.DeviceID, _ address, _ bool) (reply bool) {
	return device.IsZero()
}

// gone implements host: nobody is asked here.
func (r *reception) gone(halo.DeviceID) {}

func (r *reception) offered(device halo.DeviceID, _ address) (welcome, busy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !device.IsZero() || r.closed {
		return false, false
	}
	if r.guests >= r.most {
		return false, true
	}
	r.guests++
	return true, false
}

func (r *reception) answer(_ halo.DeviceID, at address, id [16]byte, sdp string) {
	r.parted(receive(r.ctx, at, id, sdp, r.talk))
	r.mu.Lock()
	r.guests--
	r.mu.Unlock()
}

// close lets nobody in any more.
func (r *reception) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// receive makes the connection that a guest has offered, and talks to it until the
// conversation or life ends. A guest that is refused is told why.
func receive(life context.Context, at address, id [16]byte, sdp string, converse func(*talk) error) error {
	ctx, cancel := context.WithTimeout(life, dialTimeout)
	defer cancel()
	conn, err := at.meeting.accept(ctx, at, id, sdp)
	if err != nil {
		return err
	}
	s, err := at.meeting.secure(ctx, conn, false, id, 0)
	if err != nil {
		return err
	}
	defer s.Close()
	t := newTalk(life, s)
	defer t.end()
	if err := converse(t); err != nil {
		t.part(refusalFor(err), 0)
		return err
	}
	return nil
}
