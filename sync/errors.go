package sync

import (
	"errors"
	"fmt"
)

// The errors of the package, wrapped with what was being done.
var (
	// ErrClosed: the network does not run (any more).
	ErrClosed = errors.New("network is closed")
	// ErrOffline: the network was told to stay offline.
	ErrOffline = errors.New("offline")
	// ErrPeerFault: the peer broke the protocol or sent what no correct peer
	// sends. Its connection is closed and it must wait before the next.
	ErrPeerFault = errors.New("peer at fault")
	// ErrNotMember: the peer is no member, or its device is not active.
	ErrNotMember = errors.New("not a member")
	// ErrRefused: the peer ended the session because it does not accept this
	// device.
	ErrRefused = errors.New("refused by the peer")
	// ErrSilent: nothing was heard of the peer for too long.
	ErrSilent = errors.New("peer is silent")
	// ErrReplaced: a newer session with the same device took the place.
	ErrReplaced = errors.New("replaced by a newer session")
	// ErrUnreachable: nobody answered in time.
	ErrUnreachable = errors.New("nobody reachable")
	// ErrNotFound: no such space.
	ErrNotFound = errors.New("not found")
	// ErrWrongCode: the authorization code was wrong.
	ErrWrongCode = errors.New("wrong authorization code")
	// ErrBurned: the authorization code was wrong too often; the invitation is
	// of no more use.
	ErrBurned = errors.New("invitation is burned")
	// ErrExpired: the invitation's time is over.
	ErrExpired = errors.New("invitation expired")
	// ErrDeclined: the other side of an invitation said no.
	ErrDeclined = errors.New("invitation declined")
	// ErrCancelled: the inviter has withdrawn the invitation.
	ErrCancelled = errors.New("invitation was withdrawn")
	// ErrUsed: somebody else came in by the invitation.
	ErrUsed = errors.New("invitation was used by somebody else")
	// ErrBusy: a host has no room for one more guest now.
	ErrBusy = errors.New("no room for one more guest now")
	// ErrMember: the guest is a member already.
	ErrMember = errors.New("already a member")
)

// fault returns an ErrPeerFault that says what was wrong.
func fault(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrPeerFault)...)
}
