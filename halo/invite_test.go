package halo_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"echofs/halo"
)

func newInvite(tb testing.TB, urls ...string) (halo.Invite, string) {
	tb.Helper()
	i, err := halo.NewInvite(halo.InviteMember, urls, now.Add(15*time.Minute))
	check(tb, err)
	code, err := i.Code()
	check(tb, err)
	return i, code
}

func TestCodeGoesThroughHands(t *testing.T) {
	want, code := newInvite(t, "wss://signal.example.com/x", "ws://127.0.0.1:8080")
	if !strings.HasPrefix(code, "echofs1-") || strings.ToLower(code) != code {
		t.Errorf("code: got %q", code)
	}
	body := code[len("echofs1-"):]
	for _, typed := range []string{
		code,
		strings.ToUpper(code),
		"  " + code + "\n",
		"echofs1" + strings.ReplaceAll(body, "-", " "),
		"ECHOFSL-" + strings.ReplaceAll(body, "-", ""),
		"echofs1-" + strings.NewReplacer("0", "o", "1", "I").Replace(body),
		strings.ReplaceAll(code, "-", "-\n  "),
	} {
		got, err := halo.ParseInvite(typed)
		if err != nil {
			t.Errorf("ParseInvite(%q): %v", typed, err)
			continue
		}
		if got.Kind != want.Kind || !reflect.DeepEqual(got.URLs, want.URLs) || !got.Expires.Equal(want.Expires) {
			t.Errorf("ParseInvite(%q): another invitation", typed)
		}
		if got.Topic() != want.Topic() || !got.NoisePSK().Equal(want.NoisePSK()) || !got.SignalKey().Equal(want.SignalKey()) {
			t.Errorf("ParseInvite(%q): other secrets", typed)
		}
	}
	if want.NoisePSK().Equal(want.SignalKey()) {
		t.Error("two derivations give the same key")
	}
}

func TestCodeRefuses(t *testing.T) {
	_, code := newInvite(t, "wss://signal.example.com")
	for i := len("echofs1-"); i < len(code); i++ {
		if code[i] == '-' {
			continue
		}
		c := byte('7')
		if code[i] == c {
			c = '8'
		}
		if _, err := halo.ParseInvite(code[:i] + string(c) + code[i+1:]); !errors.Is(err, halo.ErrBadCode) {
			t.Errorf("character %d mistyped: got %v, want ErrBadCode", i, err)
		}
	}
	for _, s := range []string{"", "echofs", "echofs1", "echofs1-", "echofs2" + code[7:], code[:len(code)-9], code[8:],
		code + "-" + code[8:16], "echofs1-" + strings.Repeat("0", 5000), "http://example.com", "echofs1-ü"} {
		if _, err := halo.ParseInvite(s); !errors.Is(err, halo.ErrBadCode) {
			t.Errorf("ParseInvite(%q): got %v, want ErrBadCode", s, err)
		}
	}
	for _, urls := range [][]string{{""}, {"a b"}, {"a\x1b"}, {strings.Repeat("a", 257)}, {"a", "b", "c", "d", "e"}} {
		if _, err := halo.NewInvite(halo.InviteMember, urls, now); !errors.Is(err, halo.ErrMalformed) {
			t.Errorf("NewInvite(%q): got %v, want ErrMalformed", urls, err)
		}
	}
}

func TestAuthProof(t *testing.T) {
	digits, err := halo.NewAuthCode()
	check(t, err)
	if len(digits) != 6 || strings.Trim(digits, "0123456789") != "" {
		t.Errorf("NewAuthCode: got %q, want six digits", digits)
	}
	session := []byte("handshake hash of a session")
	proof := halo.AuthProof(session, digits[:3]+" "+digits[3:])
	if !halo.CheckAuthProof(session, digits, proof) {
		t.Error("the right digits are refused")
	}
	if halo.CheckAuthProof([]byte("another session"), digits, proof) {
		t.Error("a proof of another session is accepted")
	}
	if halo.CheckAuthProof(session, digits[1:]+"x", proof) || halo.CheckAuthProof(session, "", proof) {
		t.Error("wrong digits are accepted")
	}
}

// TestAdmission runs host and guest of an invitation against each other, over
// the encoded messages.
func TestAdmission(t *testing.T) {
	alice, bob := newPerson(t), newPerson(t)
	s := newSpace(t, alice)
	key := s.rotate(t, nil)
	session := []byte("handshake hash")
	send := func(m halo.Message) halo.Message {
		b, err := halo.EncodeMessage(m)
		check(t, err)
		got, err := halo.DecodeMessage(b)
		check(t, err)
		return got
	}

	offer := send(&halo.Offer{
		Kind: halo.InviteMember, Space: s.Space(), Name: "notes", Role: halo.RoleEditor,
		Inviter: halo.RawCredentials(alice.graph.All()), Challenge: [32]byte{7},
	}).(*halo.Offer)
	inviter, id, err := halo.LoadIdentity(offer.Inviter)
	if err != nil || id != alice.Identity || !inviter.State().Knows(id) {
		t.Fatalf("the inviter: got %v, %v, want %v", id, err, alice.Identity)
	}

	join := send(&halo.Join{
		Identity: halo.RawCredentials(bob.graph.All()), Device: bob.keys.ID(), Name: "Bob",
		Proof: halo.SignJoin(bob.keys, offer.Challenge, session, offer.Space),
	}).(*halo.Join)
	guest, id, err := halo.LoadIdentity(join.Identity)
	check(t, err)
	device, ok := guest.State().Device(id, join.Device)
	if !ok {
		t.Fatal("the guest's device is not in its identity")
	}
	check(t, halo.VerifyJoin(device.Public.Sign, join.Proof, offer.Challenge, session, offer.Space))
	if err := halo.VerifyJoin(device.Public.Sign, join.Proof, offer.Challenge, []byte("other"), offer.Space); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("a proof of another session: got %v, want ErrBadSignature", err)
	}

	member := s.set(t, bob, offer.Role)
	grant, err := s.GrantKey(alice.Issuer, key, device, now)
	check(t, err)
	add(t, s.Graph, grant)
	g := halo.NewGraph(offer.Space)
	for _, b := range halo.Bundles(s.Space(), s.All()) {
		check(t, g.Load(send(b).(*halo.Bundle).Credentials))
	}
	admit := &halo.Admit{
		Space: s.Space(), Credential: member.Bytes(), Grants: [][]byte{grant.Bytes()},
		Floor: []halo.FeedMark{{Feed: halo.FeedID{1}, Seq: 4, Entry: halo.EntryID{2}}},
		Hints: halo.Hints{URLs: []string{"wss://signal.example.com"}, Name: "notes"}, Resume: [16]byte{9},
	}
	raw, err := halo.EncodeMessage(admit)
	check(t, err)
	if got := send(admit); !reflect.DeepEqual(got, halo.Message(admit)) {
		t.Errorf("Admit: got %+v, want %+v", got, admit)
	}
	state := g.State()
	if role, ok := state.Member(bob.Identity, bob.keys.ID()); !ok || role != halo.RoleEditor {
		t.Errorf("the guest sees itself as %v, %v, want editor", role, ok)
	}
	if _, have := bob.keys.EpochKeys(state, nil)[key.ID(s.Space())]; !have {
		t.Error("the guest cannot open the epoch key")
	}
	ack := send(&halo.Ack{Credential: member.ID, Sig: halo.SignAck(bob.keys, raw)}).(*halo.Ack)
	check(t, halo.VerifyAck(device.Public.Sign, ack.Sig, raw))
	if err := halo.VerifyAck(device.Public.Sign, ack.Sig, append(raw, 0)); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("an acknowledgement of another Admit: got %v, want ErrBadSignature", err)
	}
}

func TestPairing(t *testing.T) {
	alice, laptop := newPerson(t), newDevice(t)
	draft, err := alice.graph.Draft(alice.Issuer, &halo.DeviceAdd{Device: laptop.Public(), Level: halo.LevelOrdinary}, now)
	check(t, err)
	if _, err := draft.Finish(); !errors.Is(err, halo.ErrBadSignature) {
		t.Errorf("without the new device's signature: got %v, want ErrBadSignature", err)
	}
	remote, err := halo.DraftOf(draft.Body())
	check(t, err)
	if _, err := halo.SignDraft(remote, halo.IdentityID{1}, laptop); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("a draft for another identity: got %v, want ErrForeign", err)
	}
	if _, err := halo.SignDraft(remote, alice.Identity, newDevice(t)); !errors.Is(err, halo.ErrForeign) {
		t.Errorf("a draft for another device: got %v, want ErrForeign", err)
	}
	sig, err := halo.SignDraft(remote, alice.Identity, laptop)
	check(t, err)
	draft.Attach(halo.SigSubject, laptop.Public().Sign, sig)
	c, err := draft.Finish()
	check(t, err)
	add(t, alice.graph, c)
	if d, ok := alice.graph.State().Device(alice.Identity, laptop.ID()); !ok || d.Level != halo.LevelOrdinary {
		t.Errorf("the new device: got %v, %v, want ordinary", d.Level, ok)
	}
}

func TestMessagesRefuse(t *testing.T) {
	device := newDevice(t)
	public := device.Public()
	for name, m := range map[string]halo.Message{
		"offer of nothing":     &halo.Offer{},
		"offer without role":   &halo.Offer{Kind: halo.InviteMember, Space: halo.SpaceID{1}},
		"device offer, space":  &halo.Offer{Kind: halo.InviteDevice, Space: halo.SpaceID{1}},
		"join of nobody":       &halo.Join{Device: device.ID()},
		"join, other device":   &halo.Join{Device: halo.DeviceID{1}, Keys: &public},
		"join of both":         &halo.Join{Device: device.ID(), Keys: &public, Identity: [][]byte{{1}}},
		"long name":            &halo.Join{Device: device.ID(), Keys: &public, Name: strings.Repeat("x", 257)},
		"invalid name":         &halo.Join{Device: device.ID(), Keys: &public, Name: "\xff"},
		"refusal of no reason": &halo.Refuse{},
		"floor not sorted":     &halo.Admit{Floor: []halo.FeedMark{{Feed: halo.FeedID{2}}, {Feed: halo.FeedID{1}}}},
	} {
		if _, err := halo.EncodeMessage(m); !errors.Is(err, halo.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
	if _, err := halo.EncodeMessage(&halo.Bundle{Credentials: [][]byte{make([]byte, halo.MaxMessageSize)}}); !errors.Is(err, halo.ErrTooLarge) {
		t.Errorf("a large message: got %v, want ErrTooLarge", err)
	}
	if _, err := halo.DecodeMessage([]byte{0x82, 0x18, 0x63, 0xa0}); !errors.Is(err, halo.ErrMalformed) {
		t.Errorf("an unknown message: got %v, want ErrMalformed", err)
	}
}

func TestBundlesFitMessages(t *testing.T) {
	alice := newPerson(t)
	var list []*halo.Credential
	for range 500 {
		list = append(list, alice.graph.All()...)
	}
	n := 0
	for _, b := range halo.Bundles(halo.SpaceID{}, list) {
		raw, err := halo.EncodeMessage(b)
		if err != nil || len(raw) > halo.MaxMessageSize {
			t.Fatalf("a bundle of %d bytes: %v", len(raw), err)
		}
		for _, c := range b.Credentials {
			if !bytes.Equal(c, list[n].Bytes()) {
				t.Fatalf("credential %d is another", n)
			}
			n++
		}
	}
	if n != len(list) {
		t.Errorf("got %d credentials, want %d", n, len(list))
	}
}

func TestInvitationStates(t *testing.T) {
	hosts := []halo.HostState{halo.HostCreated, halo.HostOpen, halo.HostContacted, halo.HostAuthOK, halo.HostReview, halo.HostCommitted, halo.HostDone}
	for i, s := range hosts[:len(hosts)-1] {
		if !s.CanBecome(hosts[i+1]) {
			t.Errorf("%s cannot become %s", s, hosts[i+1])
		}
		if committed := s == halo.HostCommitted; s.CanBecome(halo.HostBurned) == committed || s.CanBecome(halo.HostOpen) == committed {
			t.Errorf("%s: what is committed can only become done", s)
		}
	}
	for _, s := range []halo.HostState{halo.HostDone, halo.HostBurned, halo.HostExpired, halo.HostCancelled, halo.HostFailed} {
		for _, next := range append(hosts, halo.HostFailed) {
			if s.CanBecome(next) || !s.Final() {
				t.Errorf("%s becomes %s", s, next)
			}
		}
	}
	guests := []halo.GuestState{halo.GuestEntered, halo.GuestConnecting, halo.GuestAuthOK, halo.GuestOfferShown, halo.GuestRequested, halo.GuestReceived, halo.GuestSyncing, halo.GuestJoined}
	for i, s := range guests[:len(guests)-1] {
		if !s.CanBecome(guests[i+1]) || !s.CanBecome(halo.GuestFailed) {
			t.Errorf("%s cannot become %s or failed", s, guests[i+1])
		}
	}
	if halo.GuestJoined.CanBecome(halo.GuestFailed) || !halo.GuestFailed.CanBecome(halo.GuestConnecting) {
		t.Error("joined can fail, or failed cannot be tried again")
	}
}

func TestSAS(t *testing.T) {
	a, b := halo.SAS([]byte("one session")), halo.SAS([]byte("another"))
	if a == b || a != halo.SAS([]byte("one session")) || a[3] == "" {
		t.Errorf("SAS: got %v and %v", a, b)
	}
}
