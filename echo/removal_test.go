package echo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"echofs/echo"
	"echofs/echo/echotest"
	"echofs/halo"
)

// team is a space of which ada is the owner, and the others editors.
type team struct {
	t      *testing.T
	names  []string
	vaults map[string]*echotest.Vault
	spaces map[string]*echo.Space
}

func newTeam(t *testing.T, names ...string) *team {
	t.Helper()
	tm := &team{t: t, names: names, vaults: map[string]*echotest.Vault{}, spaces: map[string]*echo.Space{}}
	for i, name := range names {
		v := echotest.NewVault(t, name, echo.Options{})
		tm.vaults[name] = v
		if i == 0 {
			s, err := v.CreateSpace(t.Context(), "notes")
			if err != nil {
				t.Fatal(err)
			}
			tm.spaces[name] = s
			continue
		}
		tm.spaces[name] = tm.vaults[names[0]].Invite(tm.spaces[names[0]], v, halo.RoleEditor)
	}
	return tm
}

// meet lets vaults exchange all they have.
func (tm *team) meet(names ...string) {
	tm.t.Helper()
	for range 2 {
		for i, a := range names {
			for _, b := range names[i+1:] {
				echotest.Exchange(tm.t, tm.spaces[a], tm.spaces[b])
			}
		}
	}
}

// shown returns what a vault shows: each file with its canonical content.
func (tm *team) shown(name string) string {
	tm.t.Helper()
	v := tm.vaults[name]
	var out []string
	for _, path := range tree(tm.t, v, tm.spaces[name].Ino()) {
		if strings.HasSuffix(path, "/") {
			out = append(out, path)
			continue
		}
		out = append(out, path+"="+strings.TrimSpace(show(tm.t, v, "notes/"+path)))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// want checks that vaults show the same, that each of them finds nothing wrong
// with itself, and what they show.
func (tm *team) want(want string, names ...string) {
	tm.t.Helper()
	for _, name := range names {
		if got := tm.shown(name); got != want {
			tm.t.Errorf("%s shows\n %s, want\n %s", name, got, want)
		}
		report, err := tm.vaults[name].Fsck(tm.t.Context(), false)
		if err != nil || len(report.Problems) > 0 {
			tm.t.Errorf("%s: fsck: %v %q", name, err, report.Problems)
		}
	}
}

func (tm *team) audit(name string, states ...string) (n int) {
	tm.t.Helper()
	list, err := tm.spaces[name].Audit(tm.t.Context())
	if err != nil {
		tm.t.Fatal(err)
	}
	for _, a := range list {
		if slices.Contains(states, a.State) {
			n++
		}
	}
	return n
}

func (tm *team) remove(by, who string) {
	tm.t.Helper()
	if err := tm.spaces[by].RemoveMember(tm.t.Context(), tm.vaults[who].IdentityID()); err != nil {
		tm.t.Fatal(err)
	}
}

// TestRemovalLeavesOutWhatCameLate: what a removed member wrote without knowing
// goes on all vaults, in whatever order they hear of it; what an honest member
// built on stays, and so does every honest edit.
func TestRemovalLeavesOutWhatCameLate(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve", "joe")
	put(t, tm.vaults["ada"], "notes/plan.json", `{"a":1,"b":1}`)
	put(t, tm.vaults["bob"], "notes/kept.json", `{"by":"bob"}`)
	tm.meet("ada", "bob", "eve", "joe")
	tm.remove("ada", "bob")

	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":2,"b":1}`)
	tm.meet("eve", "joe") // who have not heard
	echotest.Send(t, tm.spaces["bob"], tm.spaces["eve"])
	write(t, tm.vaults["eve"], "notes/plan.json", `{"a":2,"b":2}`) // builds on bob's
	put(t, tm.vaults["bob"], "notes/late.json", `{"by":"bob"}`)
	write(t, tm.vaults["bob"], "notes/kept.json", `{"by":"bob","late":true}`)
	echotest.Send(t, tm.spaces["bob"], tm.spaces["joe"])
	echotest.Send(t, tm.spaces["bob"], tm.spaces["ada"])
	if got := tm.audit("ada", echo.AuditLate); got != 3 {
		t.Errorf("late entries at ada: got %d, want 3", got)
	}
	write(t, tm.vaults["joe"], "notes/plan.json", `{"a":2,"b":1,"c":3}`)

	tm.meet("ada", "eve", "joe")
	tm.want(`kept.json={"by":"bob"} plan.json={"a":2,"b":2,"c":3}`, "ada", "eve", "joe")
	for _, name := range []string{"ada", "eve", "joe"} {
		if late, endorsed := tm.audit(name, echo.AuditLate), tm.audit(name, echo.AuditEndorsed); late != 2 || endorsed != 1 {
			t.Errorf("%s: %d late and %d endorsed entries, want 2 and 1", name, late, endorsed)
		}
	}
	// Once all know, nothing of bob's comes in.
	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":9}`)
	for _, name := range []string{"ada", "eve", "joe"} {
		echotest.Send(t, tm.spaces["bob"], tm.spaces[name])
	}
	tm.want(`kept.json={"by":"bob"} plan.json={"a":2,"b":2,"c":3}`, "ada", "eve", "joe")
	// What is left of the history can be shown.
	n, err := tm.vaults["joe"].Resolve("notes/plan.json")
	if err != nil {
		t.Fatal(err)
	}
	revs, err := tm.vaults["joe"].History(t.Context(), n.Ino)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range revs {
		if _, err := tm.vaults["joe"].Show(t.Context(), n.Ino, fmt.Sprint(r.Rev), true); err != nil {
			t.Errorf("revision %d (%s): %v", r.Rev, r.Summary, err)
		}
	}
	// And it stays so over a restart.
	if err := tm.vaults["joe"].Close(); err != nil {
		t.Fatal(err)
	}
	tm.vaults["joe"].Open()
	s, _ := tm.vaults["joe"].SpaceByID(tm.spaces["joe"].ID())
	tm.spaces["joe"] = s
	tm.want(`kept.json={"by":"bob"} plan.json={"a":2,"b":2,"c":3}`, "joe")
}

// TestAdoptTakesBack: late edits of a removed member that were honest.
func TestAdoptTakesBack(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["bob"], "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	tm.remove("ada", "bob")
	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":2}`)
	put(t, tm.vaults["bob"], "notes/late.md", "words\n")
	echotest.Send(t, tm.spaces["bob"], tm.spaces["eve"])
	tm.meet("ada", "eve")
	tm.want(`plan.json={"a":1}`, "ada", "eve")
	if _, err := tm.spaces["eve"].Adopt(t.Context(), "0123456789"); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("adopting what is not there: got %v, want ErrNotFound", err)
	}
	if n, err := tm.spaces["eve"].Adopt(t.Context(), "all"); n != 2 || err != nil {
		t.Fatalf("adopt: got %d, %v, want 2", n, err)
	}
	tm.want(`late.md=words plan.json={"a":2}`, "eve")
	tm.meet("ada", "eve")
	tm.want(`late.md=words plan.json={"a":2}`, "ada", "eve")
	write(t, tm.vaults["ada"], "notes/plan.json", `{"a":3}`)
	tm.meet("ada", "eve")
	tm.want(`late.md=words plan.json={"a":3}`, "ada", "eve")
	if got := tm.audit("ada", echo.AuditAdopted); got != 2 {
		t.Errorf("adopted entries: got %d, want 2", got)
	}
}

// TestRemovedMemberReadsNothingNew: the epoch after a removal.
func TestRemovedMemberReadsNothingNew(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["ada"], "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	tm.remove("ada", "bob")
	if got := len(tm.spaces["ada"].State().Epochs()); got != 2 {
		t.Errorf("epochs after the removal: got %d, want 2", got)
	}
	put(t, tm.vaults["ada"], "notes/secret.json", `{"s":1}`)
	echotest.Send(t, tm.spaces["ada"], tm.spaces["bob"])
	tm.want(`plan.json={"a":1}`, "bob")
	if _, err := tryWrite(tm.vaults["bob"], "notes/plan.json", `{"a":2}`, nil); !errors.Is(err, echo.ErrReadOnly) {
		t.Errorf("a removed member who knows writes: got %v, want ErrReadOnly", err)
	}
	echotest.Send(t, tm.spaces["ada"], tm.spaces["eve"])
	tm.want(`plan.json={"a":1} secret.json={"s":1}`, "ada", "eve")
	// Who joins later opens all of it.
	joe := echotest.NewVault(t, "joe", echo.Options{})
	tm.vaults["joe"], tm.spaces["joe"] = joe, tm.vaults["ada"].Invite(tm.spaces["ada"], joe, halo.RoleReader)
	tm.want(`plan.json={"a":1} secret.json={"s":1}`, "joe")
}

// TestReaderWritesAnyway: an editor is made a reader, and goes on writing.
func TestReaderWritesAnyway(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["bob"], "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	if err := tm.spaces["ada"].SetRole(t.Context(), tm.vaults["bob"].IdentityID(), halo.RoleReader); err != nil {
		t.Fatal(err)
	}
	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":2}`)
	tm.meet("ada", "bob", "eve")
	tm.want(`plan.json={"a":1}`, "ada", "bob", "eve")
	if _, err := tryWrite(tm.vaults["bob"], "notes/plan.json", `{"a":3}`, nil); !errors.Is(err, echo.ErrReadOnly) {
		t.Errorf("a reader writes: got %v, want ErrReadOnly", err)
	}
	write(t, tm.vaults["ada"], "notes/plan.json", `{"a":4}`)
	tm.meet("ada", "bob", "eve")
	tm.want(`plan.json={"a":4}`, "ada", "bob", "eve")

	// As an editor again it writes into another feed.
	if err := tm.spaces["ada"].SetRole(t.Context(), tm.vaults["bob"].IdentityID(), halo.RoleEditor); err != nil {
		t.Fatal(err)
	}
	tm.meet("ada", "bob", "eve")
	write(t, tm.vaults["bob"], "notes/plan.json", `{"a":5}`)
	put(t, tm.vaults["bob"], "notes/more.md", "more\n")
	tm.meet("ada", "bob", "eve")
	tm.want(`more.md=more plan.json={"a":5}`, "ada", "bob", "eve")
	if got := tm.audit("eve", echo.AuditLate); got != 1 {
		t.Errorf("late entries: got %d, want 1", got)
	}
}

func TestRolesAreRefused(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	tm.meet("ada", "bob", "eve")
	ctx := context.Background()
	ada, eve := tm.vaults["ada"].IdentityID(), tm.vaults["eve"].IdentityID()
	for name, err := range map[string]error{
		"an editor removes":           tm.spaces["bob"].RemoveMember(ctx, eve),
		"an editor removes the owner": tm.spaces["bob"].RemoveMember(ctx, ada),
		"an editor raises itself":     tm.spaces["bob"].SetRole(ctx, tm.vaults["bob"].IdentityID(), halo.RoleAdmin),
	} {
		if !errors.Is(err, echo.ErrRefused) {
			t.Errorf("%s: got %v, want ErrRefused", name, err)
		}
	}
	if _, err := tm.spaces["ada"].FindMember("nobody"); !errors.Is(err, echo.ErrNotFound) {
		t.Errorf("FindMember: got %v, want ErrNotFound", err)
	}
	if id, err := tm.spaces["ada"].FindMember("eve"); err != nil || id != eve {
		t.Errorf("FindMember(eve): got %v, %v", id.Short(), err)
	}
}

// TestLeaving: who is left begins a new epoch.
func TestLeaving(t *testing.T) {
	tm := newTeam(t, "ada", "bob", "eve")
	put(t, tm.vaults["bob"], "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "bob", "eve")
	tm.remove("bob", "bob")
	tm.meet("ada", "bob", "eve")
	tm.want(`plan.json={"a":1}`, "ada", "eve")
	if epoch, ok := tm.spaces["ada"].State().CurrentEpoch(); !ok || epoch.Gen != 2 {
		t.Errorf("epoch after somebody left: got generation %d, %v, want 2", epoch.Gen, ok)
	}
	put(t, tm.vaults["eve"], "notes/more.md", "more\n")
	tm.meet("ada", "eve")
	tm.want(`more.md=more plan.json={"a":1}`, "ada", "eve")
}

// pair returns two vaults of one identity.
func pair(t *testing.T, name string) (laptop, phone *echotest.Vault) {
	t.Helper()
	return pairWith(t, name, echo.Options{}, echo.Options{})
}

// TestRevokedDevice: a lost laptop has edits that nobody had got.
func TestRevokedDevice(t *testing.T) {
	tm := newTeam(t, "ada")
	laptop, phone := pair(t, "bob")
	tm.vaults["laptop"], tm.vaults["phone"] = laptop, phone
	tm.spaces["laptop"] = tm.vaults["ada"].Invite(tm.spaces["ada"], laptop, halo.RoleEditor)
	tm.spaces["phone"] = tm.vaults["ada"].Invite(tm.spaces["ada"], phone, halo.RoleEditor)
	put(t, laptop, "notes/plan.json", `{"a":1}`)
	tm.meet("ada", "laptop", "phone")
	put(t, laptop, "notes/late.json", `{"n":1}`)
	write(t, laptop, "notes/plan.json", `{"a":2}`)

	if err := phone.RevokeDevice(t.Context(), echo.Revocation{Device: laptop.DeviceID(), Reason: halo.ReasonLost}); err != nil {
		t.Fatal(err)
	}
	write(t, phone, "notes/plan.json", `{"a":1,"b":1}`)
	tm.meet("ada", "phone")
	tm.meet("ada", "laptop")
	tm.meet("ada", "laptop", "phone")
	tm.want(`plan.json={"a":1,"b":1}`, "ada", "phone")
	if got := tm.audit("ada", echo.AuditLate); got != 2 {
		t.Errorf("late entries: got %d, want 2", got)
	}
	if _, err := tryWrite(laptop, "notes/plan.json", `{"a":3}`, nil); !errors.Is(err, echo.ErrReadOnly) {
		t.Errorf("a revoked device writes: got %v, want ErrReadOnly", err)
	}
	if n, err := tm.spaces["phone"].Adopt(t.Context(), "all"); n != 2 || err != nil {
		t.Fatalf("adopt: got %d, %v, want 2", n, err)
	}
	tm.meet("ada", "phone")
	tm.want(`late.json={"n":1} plan.json={"a":2,"b":1}`, "ada", "phone")
	if err := laptop.RevokeDevice(t.Context(), echo.Revocation{Device: phone.DeviceID()}); !errors.Is(err, echo.ErrRefused) {
		t.Errorf("the revoked laptop revokes the phone: got %v, want ErrRefused", err)
	}
}
