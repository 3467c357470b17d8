package sync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"echofs/halo"
	"echofs/sync/session"
)

// talk is the conversation of an invitation, inside a session.
type talk struct {
	session *session.Session
	ctx     context.Context
	cancel  context.CancelCauseFunc
	in      chan []byte
	ended   chan struct{} // closed when the reader has ended
}

func newTalk(ctx context.Context, s *session.Session) *talk {
	t := &talk{session: s, in: make(chan []byte, 4), ended: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	// There is a moment for saying why it ends; a side that does not read
	// must not keep it open for longer.
	context.AfterFunc(t.ctx, func() { time.AfterFunc(2*byeWait, func() { _ = s.Close() }) })
	go t.read()
	return t
}

func (t *talk) read() {
	defer close(t.ended)
	for {
		b, err := t.session.Receive(session.Control)
		if err != nil {
			t.cancel(err)
			return
		}
		select {
		case t.in <- b:
		case <-t.ctx.Done(): // read on, to learn when the other side has left
		}
	}
}

// end closes the session.
func (t *talk) end() {
	t.cancel(ErrClosed)
	_ = t.session.Close()
	<-t.ended
}

func (t *talk) send(m halo.Message) error {
	b, err := halo.EncodeMessage(m)
	if err != nil {
		return err
	}
	return t.sendRaw(b)
}

func (t *talk) sendRaw(b []byte) error { return t.session.Send(session.Control, b) }

// next waits for the next message.
func (t *talk) next(within time.Duration) (halo.Message, []byte, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	var b []byte
	select {
	case b = <-t.in:
	default:
		select {
		case b = <-t.in:
		case <-timer.C:
			return nil, nil, fmt.Errorf("the other side says nothing: %w", ErrUnreachable)
		case <-t.ctx.Done():
			return nil, nil, context.Cause(t.ctx)
		}
	}
	m, err := halo.DecodeMessage(b)
	if err != nil {
		return nil, nil, fault("invitation: %v", err)
	}
	return m, b, nil
}

// linger waits a moment until the other side has read everything and left.
func (t *talk) linger() {
	timer := time.NewTimer(2 * time.Second)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
	}
}

// refused is that the other side ended the invitation.
type refused struct{ halo.Refuse }

// Error says why.
func (r *refused) Error() string {
	switch r.Why {
	case halo.RefuseWrongCode:
		if r.TriesLeft == 0 {
			return "wrong authorization code too often: the invitation is burned"
		}
		return fmt.Sprintf("wrong authorization code, %d tries left", r.TriesLeft)
	case halo.RefuseExpired:
		return "the invitation has expired"
	case halo.RefuseDeclined:
		return "declined by the other side"
	case halo.RefuseBusy:
		return "another guest is being admitted"
	case halo.RefuseCancelled:
		return "the inviter has withdrawn the invitation"
	case halo.RefuseUsed:
		return "somebody else came in by this invitation"
	case halo.RefuseMember:
		return "a member already"
	}
	return "the other side ended the invitation"
}

// Is maps the reasons to the errors of this package.
func (r *refused) Is(target error) bool {
	switch r.Why {
	case halo.RefuseWrongCode:
		return target == ErrWrongCode || target == ErrBurned && r.TriesLeft == 0
	case halo.RefuseExpired:
		return target == ErrExpired
	case halo.RefuseDeclined:
		return target == ErrDeclined
	case halo.RefuseBusy:
		return target == ErrBusy
	case halo.RefuseCancelled:
		return target == ErrCancelled
	case halo.RefuseUsed:
		return target == ErrUsed
	case halo.RefuseMember:
		return target == ErrMember
	case halo.RefuseProtocol:
		return target == ErrPeerFault
	}
	return false
}

// hear waits for a message of one kind. A refusal is an error.
func hear[M halo.Message](t *talk, within time.Duration) (M, error) {
	var none M
	m, _, err := t.next(within)
	if err != nil {
		return none, err
	}
	if r, ok := m.(*halo.Refuse); ok {
		return none, &refused{*r}
	}
	want, ok := m.(M)
	if !ok {
		return none, fault("invitation: %T out of turn", m)
	}
	return want, nil
}

// refusals says what the other side is told of an error.
var refusals = []struct {
	err error
	why halo.Refusal
}{
	{ErrBurned, halo.RefuseWrongCode},
	{ErrExpired, halo.RefuseExpired},
	{ErrUsed, halo.RefuseUsed},
	{ErrMember, halo.RefuseMember},
	{ErrDeclined, halo.RefuseDeclined},
	{ErrBusy, halo.RefuseBusy},
	{ErrCancelled, halo.RefuseCancelled},
	{context.Canceled, halo.RefuseCancelled},
	{ErrPeerFault, halo.RefuseProtocol},
}

// refusalFor returns what the other side is told of an error; 0 for nothing.
func refusalFor(err error) halo.Refusal {
	var theirs *refused
	if errors.As(err, &theirs) {
		return 0
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.why
		}
	}
	return 0
}

// part tells the other side why and waits a moment until it has left.
func (t *talk) part(why halo.Refusal, left uint64) {
	if why == 0 {
		return
	}
	b, err := halo.EncodeMessage(&halo.Refuse{Why: why, TriesLeft: left})
	if err != nil {
		return
	}
	go func() { _ = t.sendRaw(b) }() // it returns when the session is closed
	timer := time.NewTimer(byeWait)
	defer timer.Stop()
	select {
	case <-t.ended:
	case <-timer.C:
	}
}
