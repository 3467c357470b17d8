package sync_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"echofs/halo"
	echosync "echofs/sync"
)

// Whoever comes when an invitation is over is told so at once.
func TestLateGuestsAreToldWhy(t *testing.T) {
	p := newPair(t)
	cancelled := p.invite(t, echosync.InviteOptions{})
	cancelled.Cancel()
	if _, err := p.guestN.Join(timeout(t), cancelled.Code(), echosync.JoinOptions{}); !errors.Is(err, echosync.ErrCancelled) {
		t.Errorf("withdrawn: got %v, want %v", err, echosync.ErrCancelled)
	}
	declined := p.invite(t, echosync.InviteOptions{Approve: func(context.Context, echosync.GuestInfo) bool { return false }})
	if _, err := p.guestN.Join(timeout(t), declined.Code(), echosync.JoinOptions{}); !errors.Is(err, echosync.ErrDeclined) {
		t.Errorf("declined: got %v, want %v", err, echosync.ErrDeclined)
	}
}

// A guest that is in the middle of it learns that the host has gone.
func TestCancelTellsTheGuest(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{AuthCode: true})
	asked := make(chan struct{})
	joined := make(chan error, 1)
	ctx := timeout(t)
	go func() {
		_, err := p.guestN.Join(ctx, inv.Code(), echosync.JoinOptions{AuthCode: func(ctx context.Context) (string, error) {
			close(asked)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second): // somebody who types slowly
			}
			return inv.AuthCode(), nil
		}})
		joined <- err
	}()
	<-asked
	inv.Cancel()
	if _, err := inv.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("host: got %v, want %v", err, context.Canceled)
	}
	if err := <-joined; !errors.Is(err, echosync.ErrCancelled) {
		t.Errorf("guest: got %v, want %v", err, echosync.ErrCancelled)
	}
}

func TestHostThatIsNotThere(t *testing.T) {
	url, _ := startSignal(t, "")
	host, guest := newVault(t, "ada"), newVault(t, "ben")
	space, err := host.CreateSpace("notes")
	if err != nil {
		t.Fatal(err)
	}
	hostN, stop := startNetwork(t, host, echosync.Options{Signal: []string{url}})
	inv, err := hostN.Invite(t.Context(), echosync.InviteOptions{Space: space.ID()})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	guestN, _ := startNetwork(t, guest, echosync.Options{})
	_, err = guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{Reach: 400 * time.Millisecond})
	if !errors.Is(err, echosync.ErrUnreachable) {
		t.Errorf("got %v, want %v", err, echosync.ErrUnreachable)
	}
}

func TestOwnInvitation(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{})
	space, err := p.hostN.Join(timeout(t), inv.Code(), echosync.JoinOptions{})
	if !errors.Is(err, echosync.ErrMember) || space == nil || space.ID() != p.space.ID() {
		t.Errorf("got %v, %v; want the space and %v", space, err, echosync.ErrMember)
	}
}

func TestInvitesAreListedAndCancelled(t *testing.T) {
	p := newPair(t)
	inv := p.invite(t, echosync.InviteOptions{Role: halo.RoleReader})
	list, err := p.hostN.Invites()
	if err != nil || len(list) != 1 || list[0].ID != inv.ID() || list[0].State != halo.HostOpen || list[0].Role != halo.RoleReader {
		t.Fatalf("got %+v, %v; want one that is open", list, err)
	}
	if err := p.hostN.CancelInvite("0000000000000000"); !errors.Is(err, echosync.ErrNotFound) {
		t.Errorf("another id: got %v, want %v", err, echosync.ErrNotFound)
	}
	if err := p.hostN.CancelInvite(inv.ID()); err != nil {
		t.Error(err)
	}
	if list, err := p.hostN.Invites(); err != nil || len(list) != 1 || list[0].State != halo.HostCancelled {
		t.Errorf("got %+v, %v; want it cancelled", list, err)
	}
}

// Wherever the host dies, its next run goes on: exactly one guest is admitted,
// and it can be the same again but nobody else.
func TestHostCrashesAtEachState(t *testing.T) {
	url, _ := startSignal(t, "")
	for saves := range 6 {
		host, guest, other := newVault(t, "ada"), newVault(t, "ben"), newVault(t, "cy")
		space, err := host.CreateSpace("notes")
		if err != nil {
			t.Fatal(err)
		}
		hostN, stop := startNetwork(t, host, echosync.Options{Signal: []string{url}})
		inv, err := hostN.Invite(t.Context(), echosync.InviteOptions{Space: space.ID(), AuthCode: true})
		if err != nil {
			t.Fatal(err)
		}
		host.CrashAfter(saves)
		guestN, _ := startNetwork(t, guest, echosync.Options{})
		joined := make(chan error, 1)
		ctx := timeout(t)
		go func() {
			_, err := guestN.Join(ctx, inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())})
			joined <- err
		}()
		select {
		case <-time.After(300 * time.Millisecond):
		case err := <-joined:
			joined <- err
		}
		stop()
		host.CrashAfter(-1)
		hostN, stop = startNetwork(t, host, echosync.Options{Signal: []string{url}})
		if err := <-joined; err != nil && !errors.Is(err, echosync.ErrMember) {
			t.Errorf("crash after %d steps: the guest got %v", saves, err)
		}
		otherN, _ := startNetwork(t, other, echosync.Options{})
		_, err = otherN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())})
		if !errors.Is(err, echosync.ErrUsed) {
			t.Errorf("crash after %d steps: another guest got %v, want %v", saves, err, echosync.ErrUsed)
		}
		if n := len(space.State().Members()); n != 2 {
			t.Errorf("crash after %d steps: %d members, want 2", saves, n)
		}
		list, err := hostN.Invites()
		// If only the last step is missing, nobody comes to make it.
		if err != nil || len(list) != 1 || list[0].State != halo.HostDone && list[0].State != halo.HostCommitted {
			t.Errorf("crash after %d steps: got %+v, %v; want it done", saves, list, err)
		}
		stop()
	}
}

// Wrong digits count over connections and restarts.
func TestWrongDigitsOutliveTheHost(t *testing.T) {
	url, _ := startSignal(t, "")
	host, guest := newVault(t, "ada"), newVault(t, "ben")
	space, err := host.CreateSpace("notes")
	if err != nil {
		t.Fatal(err)
	}
	hostN, stop := startNetwork(t, host, echosync.Options{Signal: []string{url}})
	inv, err := hostN.Invite(t.Context(), echosync.InviteOptions{Space: space.ID(), AuthCode: true})
	if err != nil {
		t.Fatal(err)
	}
	wrong := "000000"
	if inv.AuthCode() == wrong {
		wrong = "111111"
	}
	guestN, _ := startNetwork(t, guest, echosync.Options{})
	for try := 1; try <= halo.AuthTries; try++ {
		_, err := guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(wrong)})
		if burned := errors.Is(err, echosync.ErrBurned); !errors.Is(err, echosync.ErrWrongCode) || burned != (try == halo.AuthTries) {
			t.Errorf("try %d: got %v", try, err)
		}
		stop()
		_, stop = startNetwork(t, host, echosync.Options{Signal: []string{url}})
	}
	_, err = guestN.Join(timeout(t), inv.Code(), echosync.JoinOptions{AuthCode: digits(inv.AuthCode())})
	if !errors.Is(err, echosync.ErrBurned) {
		t.Errorf("the right digits after that: got %v, want %v", err, echosync.ErrBurned)
	}
}
