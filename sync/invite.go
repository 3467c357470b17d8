package sync

import (
	"context"
	"fmt"
	"time"

	"echofs/halo"
)

// The times of an invitation.
const (
	DefaultInviteLife = 15 * time.Minute
	MaxInviteLife     = 24 * time.Hour

	inviteStep  = 30 * time.Second // for each message
	inviteHuman = 3 * time.Minute  // for what people have to type or decide
	resumeLife  = 10 * time.Minute // in which an admitted guest may come again
	inviteSlack = time.Minute      // for which late guests are told that it has expired: clocks differ
)

// maxInvites is how many invitations a device keeps, ended ones included.
const maxInvites = 64

// InviteOptions say what a guest is invited to.
type InviteOptions struct {
	// Kind is InviteMember, also where it is zero, or InviteDevice.
	Kind halo.InviteKind
	// Space and Role are for InviteMember; RoleNone is RoleEditor.
	Space halo.SpaceID
	Role  halo.Role
	// Recover is for InviteMember: the guest must be a member who has lost all
	// devices and has the recovery phrase. Any member may invite so, since nobody
	// gets another role by it. Role is not used.
	Recover bool
	// Level is for InviteDevice; LevelNone is LevelOrdinary.
	Level halo.Level
	// Expires is the life of the invitation; 0 is DefaultInviteLife, more than
	// MaxInviteLife is MaxInviteLife.
	Expires time.Duration
	// AuthCode asks the guest for six digits that the inviter tells by another
	// way than the code.
	AuthCode bool
	// Signal are the servers where host and guest meet; none is all of the
	// network's, as many as fit a code.
	Signal []string
	// Ask leaves the decision about a guest that has shown code and digits to
	// DecideInvite, also after the program was started again.
	Ask bool
	// Approve, unless nil, decides about a guest that has shown code and digits.
	// It is not asked again after the program was started again.
	Approve func(context.Context, GuestInfo) bool
}

// GuestInfo is what a host is told of a guest before it is admitted.
type GuestInfo struct {
	Identity halo.IdentityID
	Device   halo.DeviceID
	Name     string    // what the guest calls itself; escape it before showing it
	SAS      [4]string // pictures that both sides show
}

// InviteUpdate tells how an invitation goes.
type InviteUpdate struct {
	State     halo.HostState
	Guest     GuestInfo // once it is known
	TriesLeft int       // of the authorization code
	Err       error     // why it failed, in a state that is final
}

// InviteInfo is what is known of an invitation of this device.
type InviteInfo struct {
	ID        string // 16 hexadecimal digits, no secret
	Kind      halo.InviteKind
	Space     halo.SpaceID
	Role      halo.Role
	Level     halo.Level
	State     halo.HostState
	Expires   time.Time
	TriesLeft int
	Guest     string    // what the guest calls itself; escape it before showing it
	Reviewed  GuestInfo // in HostReview: who waits for DecideInvite
}

// Invite invites one guest. What is known of the invitation is kept by the
// repository before anything that follows from it is sent: it goes on where it
// was when the network is online again, whatever ended it. The invitation ends
// when the guest has joined, when it expires or is cancelled, after three wrong
// authorization codes, and when ctx ends, which cancels it. Until its code
// expires, whoever comes after that is told why there is nothing to be had.
func (n *Network) Invite(ctx context.Context, opts InviteOptions) (*Invitation, error) {
	inv, err := n.newInvitation(opts)
	if err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	if err := inv.open(ctx); err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	return inv, nil
}

func (n *Network) newInvitation(opts InviteOptions) (*Invitation, error) {
	space, err := n.mayInvite(&opts)
	if err != nil {
		return nil, err
	}
	if len(opts.Signal) == 0 {
		all := n.Signal()
		opts.Signal = all[:min(len(all), 4)]
	}
	if len(opts.Signal) == 0 && n.opts.LAN == nil {
		return nil, fmt.Errorf("no signaling server: %w", ErrUnreachable)
	}
	life := min(opts.Expires, MaxInviteLife)
	if life <= 0 {
		life = DefaultInviteLife
	}
	invite, err := halo.NewInvite(opts.Kind, opts.Signal, time.Now().Add(life))
	if err != nil {
		return nil, err
	}
	r := inviteRecord{Space: opts.Space, Role: opts.Role, Level: opts.Level, State: halo.HostCreated, Recover: opts.Recover, Ask: opts.Ask}
	if r.Code, err = invite.Code(); err != nil {
		return nil, err
	}
	if opts.AuthCode {
		if r.Digits, err = halo.NewAuthCode(); err != nil {
			return nil, err
		}
	}
	return newInvitation(n, space, invite, r, opts.Approve), nil
}

// mayInvite completes the options, and fails where the guest could not be
// admitted. It returns the space, if the invitation is to one.
func (n *Network) mayInvite(opts *InviteOptions) (Space, error) {
	if opts.Kind == halo.InviteDevice {
		if opts.Level == halo.LevelNone {
			opts.Level = halo.LevelOrdinary
		}
		return nil, n.repo.MayAddDevice()
	}
	opts.Kind = halo.InviteMember
	space, ok := n.repo.SpaceByID(opts.Space)
	if !ok {
		return nil, fmt.Errorf("space %s: %w", opts.Space.Short(), ErrNotFound)
	}
	if opts.Role == halo.RoleNone {
		opts.Role = halo.RoleEditor
	}
	mine := space.State().Role(n.repo.IdentityID())
	if opts.Recover && mine.Reads() {
		return space, nil
	}
	if mine == halo.RoleOwner || mine == halo.RoleAdmin && !opts.Role.AtLeast(halo.RoleAdmin) {
		return space, nil
	}
	return nil, fmt.Errorf("as %s to the role of %s: %w", mine, opts.Role, halo.ErrNotAllowed)
}

// Invites lists the invitations of this device that are not forgotten yet,
// whether or not the network runs.
func (n *Network) Invites() ([]InviteInfo, error) {
	list, err := n.inviteRecords()
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	out := make([]InviteInfo, 0, len(list))
	running := make(map[string]InviteInfo)
	for _, inv := range n.invitations() {
		running[inv.id()] = inv.info()
	}
	for _, r := range list {
		info := r.info()
		if now, ok := running[info.ID]; ok {
			info = now
		}
		out = append(out, info)
	}
	return out, nil
}

// CancelInvite withdraws an invitation by its id. It fails with ErrNotFound,
// and with ErrUsed where somebody has come in.
func (n *Network) CancelInvite(id string) error {
	for _, inv := range n.invitations() {
		if inv.id() == id && !inv.finished() {
			inv.Cancel()
			if inv.info().State != halo.HostCancelled {
				return fmt.Errorf("cancel invitation: %w", ErrUsed)
			}
			return nil
		}
	}
	return fmt.Errorf("cancel invitation %s: %w", id, ErrNotFound)
}

// DecideInvite admits the guest that an invitation is asking about, or sends it
// away. It fails with ErrNotFound where no guest waits for that.
func (n *Network) DecideInvite(id string, admit bool) error {
	for _, inv := range n.invitations() {
		if inv.id() == id && inv.decide(admit) {
			return nil
		}
	}
	return fmt.Errorf("decide about a guest of invitation %s: %w", id, ErrNotFound)
}

// invitations lists those that are being hosted.
func (n *Network) invitations() (list []*Invitation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for inv := range n.invites {
		list = append(list, inv)
	}
	return list
}

// hosts reports whether a code is of an invitation of this device.
func (n *Network) hosts(code halo.Invite) (*Invitation, bool) {
	for _, inv := range n.invitations() {
		if inv.invite.Topic() == code.Topic() {
			return inv, true
		}
	}
	return nil, false
}

// resumeInvites goes on with the invitations of before.
func (n *Network) resumeInvites() {
	list, err := n.inviteRecords()
	if err != nil {
		n.logger.Warn("invitations of before are not resumed", "err", err)
	}
	for _, r := range list {
		if err := n.resumeInvite(r); err != nil {
			n.logger.Debug("an invitation is not resumed", "err", err)
		}
	}
}

func (n *Network) resumeInvite(r inviteRecord) error {
	invite, err := halo.ParseInvite(r.Code)
	if err != nil {
		return err
	}
	if _, running := n.hosts(invite); running {
		return nil
	}
	if r.over(invite, time.Now()) {
		return n.repo.ForgetInvite(inviteID(invite))
	}
	opts := InviteOptions{Kind: invite.Kind, Space: r.Space, Role: r.Role, Level: r.Level, Recover: r.Recover}
	space, err := n.mayInvite(&opts)
	if err != nil && !r.State.Final() && r.State != halo.HostCommitted {
		return err
	}
	return newInvitation(n, space, invite, r, nil).open(context.Background()) // it ends with the network
}
