package sync

import (
	"context"
	"fmt"
	"log/slog"

	"echofs/halo"
)

// Adding a device to an identity is an invitation, too. The new device has
// keys and nothing else: it signs the credential by which a device of the
// identity adds it, gets the credentials of the devices' own space, keeps all
// that, and says so. From then on it is a device like the others; the spaces
// come to it by the exchange of the own space.

// addDevice is the host's part: the new device signs, then it is added. One
// that was added before the connection was lost gets the same again.
func (inv *Invitation) addDevice(t *talk, guest joiner) (Space, []byte, error) {
	repo := inv.n.repo
	draft, err := repo.DraftDevice(guest.keys, inv.made.Level)
	if err != nil {
		return nil, nil, err
	}
	var add *halo.Credential
	if draft != nil {
		if err := t.send(&halo.Sign{Body: draft.Body()}); err != nil {
			return nil, nil, err
		}
		signed, err := hear[*halo.Signed](t, inviteStep)
		if err != nil {
			return nil, nil, err
		}
		draft.Attach(halo.SigSubject, guest.keys.Sign, signed.Value)
		if add, err = draft.Finish(); err != nil {
			return nil, nil, fault("the new device's signature: %v", err)
		}
	}
	own, err := repo.AddDevice(t.ctx, add, guest.Device)
	if err != nil {
		return nil, nil, err
	}
	raw, err := deviceCredential(repo.IdentityCredentials(), guest.Device)
	return own, raw, err
}

// deviceCredential finds the credential that added a device.
func deviceCredential(identity [][]byte, device halo.DeviceID) ([]byte, error) {
	for _, b := range identity {
		c, err := halo.ParseCredential(b)
		if err != nil {
			return nil, fmt.Errorf("stored credential: %w", err)
		}
		if add, ok := c.Payload.(*halo.DeviceAdd); ok && add.Device.ID() == device {
			return b, nil
		}
	}
	return nil, fmt.Errorf("credential of device %s: %w", device.Short(), ErrNotFound)
}

// Paired is what a new device has of its identity.
type Paired struct {
	Identity    halo.IdentityID
	Credentials [][]byte // of the identity, genesis first
	Space       halo.SpaceID
	SpaceAll    [][]byte // credentials of the devices' own space, parents first
	Signal      []string // signaling servers

	// By a recovery through a member: Space is not the devices' own, but one in
	// which the member is, and which it calls so.
	Shared bool
	Name   string
}

// PairOptions say how a new device takes an invitation.
type PairOptions struct {
	JoinOptions // Name is not used; DisplayName is the name of the device
	// Keys are of the new device. An attempt that was cut off must be repeated
	// with the same.
	Keys *halo.DeviceKeys
	// Store keeps what the device got. Only when it has returned without an
	// error does the host hear that the device is there.
	Store func(Paired) error
	// ICE, LAN and Logger are as in Options.
	Network Options
}

// Pair makes a device with no more than keys a device of the identity that has
// invited it. Errors are those of Network.Join.
func Pair(ctx context.Context, code string, opts PairOptions) error {
	invite, err := halo.ParseInvite(code)
	if err != nil {
		return fmt.Errorf("pair: %w", err)
	}
	if invite.Kind != halo.InviteDevice {
		return fmt.Errorf("pair: a code for a space, not for a device: %w", halo.ErrBadCode)
	}
	n, stop, err := runBare(ctx, opts.Keys, opts.Network)
	if err != nil {
		return fmt.Errorf("pair: %w", err)
	}
	defer stop()
	if opts.Reach <= 0 {
		opts.Reach = DefaultReach
	}
	g := &guest{n: n, opts: opts.JoinOptions, invite: invite, met: make(chan address, 1)}
	g.converse = func(t *talk) (Space, error) { return nil, g.pair(t, opts) }
	g.tell(halo.GuestEntered)
	if _, err := g.run(ctx); err != nil {
		g.tell(finalState(err))
		return fmt.Errorf("pair: %w", err)
	}
	g.tell(halo.GuestJoined)
	return nil
}

// runBare starts a network for a device that has keys and nothing else. stop
// returns when it has ended.
func runBare(ctx context.Context, keys *halo.DeviceKeys, opts Options) (n *Network, stop func(), err error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if n, err = New(bare{keys: keys}, opts); err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	return n, func() {
		cancel()
		<-ended
	}, nil
}

// pair is the new device's side of the conversation.
func (g *guest) pair(t *talk, opts PairOptions) error {
	offer, err := g.authenticate(t)
	if err != nil {
		return err
	}
	g.greet(t)
	_, identity, err := halo.LoadIdentity(offer.Inviter)
	if err != nil || offer.Kind != halo.InviteDevice {
		return fault("the inviter's identity: %v", err)
	}
	public := opts.Keys.Public()
	join := &halo.Join{Device: public.ID(), Keys: &public, Name: opts.DisplayName,
		Proof: halo.SignJoin(opts.Keys, offer.Challenge, t.session.Hash(), offer.Space)}
	if err := t.send(join); err != nil {
		return err
	}
	g.tell(halo.GuestRequested)
	return g.receivePairing(t, opts, identity)
}

// receivePairing signs, takes what comes, and has it stored.
func (g *guest) receivePairing(t *talk, opts PairOptions, identity halo.IdentityID) error {
	paired := Paired{Identity: identity, Signal: g.invite.URLs}
	admit, raw, err := takeAdmission(t, &paired, func(m *halo.Sign) error { return signPairing(t, opts.Keys, identity, m) })
	if err != nil {
		return err
	}
	g.tell(halo.GuestReceived)
	return g.paired(t, opts, paired, admit, raw)
}

// takeAdmission takes what makes a device one of an identity: the credentials, into
// got, and the admission at last, which it returns also as it came. The new device
// is asked to sign by sign; where that is nil it cannot be.
func takeAdmission(t *talk, got *Paired, sign func(*halo.Sign) error) (admit *halo.Admit, raw []byte, err error) {
	size := 0
	for {
		m, raw, err := t.next(inviteHuman)
		if err != nil {
			return nil, nil, err
		}
		if size += len(raw); size > maxAdmission {
			return nil, nil, fault("an admission of %d bytes", size)
		}
		switch m := m.(type) {
		case *halo.Refuse:
			return nil, nil, &refused{*m}
		case *halo.Bundle:
			got.SpaceAll = append(got.SpaceAll, m.Credentials...)
			continue
		case *halo.Admit:
			return m, raw, nil
		case *halo.Sign:
			if sign != nil {
				if err := sign(m); err != nil {
					return nil, nil, err
				}
				continue
			}
		}
		return nil, nil, fault("admission: %T out of turn", m)
	}
}

// signPairing signs the credential that adds this device, and no other.
func signPairing(t *talk, keys *halo.DeviceKeys, identity halo.IdentityID, m *halo.Sign) error {
	draft, err := halo.DraftOf(m.Body)
	if err != nil {
		return fault("the credential to be signed: %v", err)
	}
	value, err := halo.SignDraft(draft, identity, keys)
	if err != nil {
		return fault("the credential to be signed: %v", err)
	}
	return t.send(&halo.Signed{Value: value})
}

// paired checks what came, has it stored and says so.
func (g *guest) paired(t *talk, opts PairOptions, paired Paired, m *halo.Admit, raw []byte) error {
	credential, err := halo.ParseCredential(m.Credential)
	if err != nil {
		return fault("admission: %v", err)
	}
	graph := halo.NewGraph(m.Space)
	if err := graph.Load(paired.SpaceAll); err != nil {
		return fault("admission: %v", err)
	}
	state := graph.State()
	if _, ok := state.Member(paired.Identity, opts.Keys.ID()); !ok || !paired.Shared && !state.Role(paired.Identity).AtLeast(halo.RoleOwner) {
		return fault("an admission that does not make this device one of the identity")
	}
	paired.Space = m.Space
	paired.Credentials = halo.RawCredentials(graph.Identity(paired.Identity))
	if err := opts.Store(paired); err != nil {
		return fmt.Errorf("%w: %w", errJoin, err)
	}
	g.tell(halo.GuestSyncing)
	if err := t.send(&halo.Ack{Credential: credential.ID, Sig: halo.SignAck(opts.Keys, raw)}); err == nil {
		t.linger()
	}
	return nil
}

// bare is the repository of a device that has keys and nothing else.
type bare struct {
	Repo // none of its other methods is called
	keys *halo.DeviceKeys
}

func (b bare) DeviceKeys() *halo.DeviceKeys       { return b.keys }
func (b bare) DeviceID() halo.DeviceID            { return b.keys.ID() }
func (bare) Spaces() []Space                      { return nil }
func (bare) OwnSpace() (Space, bool)              { return nil, false }
func (bare) SpaceByID(halo.SpaceID) (Space, bool) { return nil, false }
func (bare) SavedInvites() ([][]byte, error)      { return nil, nil }
func (bare) Changes() Changes                     { return noChanges{} }
func (bare) Meeting() halo.Secret                 { return halo.Secret{} }

// noChanges never tells anything.
type noChanges struct{}

func (noChanges) C() <-chan struct{} { return nil }
func (noChanges) Take() []Change     { return nil }
func (noChanges) Close()             {}
