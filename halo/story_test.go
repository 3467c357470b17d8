package halo_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"echofs/halo"
)

// A story is told in words: statements one after the other, and forks in which
// nobody knows of what happens in the other branches.
//
//	o:add a admin; fork; o:rm a | a:add x editor,, a:add y reader; join
//
// Who speaks stands before the colon: a person, or a person's device (a.2).
// The person o made the space. A statement may have a label (x=a:add e editor).
//
//	add P ROLE     gives or changes a role        rm P       removes; oneself: resigns
//	rotate         begins an epoch                policy     sets the rules
//	grant P        hands P the newest key         link       publishes a link
//	new N LEVEL    adds a device to the person    let N      lets a device go
//	letall N       and those it added             level N L  changes a device's level
//	end N          seals device N in the space    seal P     seals P's feed
//	offer L ROLE N, with ask (an admin approves), members (editors host) or old (it
//	               is over)                    a link for N guests
//	claim P L ROLE admits P by a link          withdraw L
//	phrase N,M     the phrase: these devices and no others
//
// What is refused when it is said is said all the same, as by somebody who does
// not care.
type story struct {
	t      *testing.T
	s      *space
	people map[string]*person
	device map[string]*halo.DeviceKeys // by "a.2"
	keys   map[halo.EpochID]halo.EpochKey
	labels map[string]*halo.Credential
	let    map[string]halo.CredentialID // what last let a device go
	links  map[string]halo.Link
	nonce  byte
}

// branch is what somebody knows.
type branch struct {
	heads []halo.CredentialID
	mine  map[string][]halo.CredentialID // heads of each identity
}

func (b branch) clone() branch { return branch{slices.Clone(b.heads), maps.Clone(b.mine)} }

// tell makes what a story says happen.
func tell(t *testing.T, text string) *story {
	t.Helper()
	st := &story{t: t, people: map[string]*person{}, device: map[string]*halo.DeviceKeys{},
		keys: map[halo.EpochID]halo.EpochKey{}, labels: map[string]*halo.Credential{}, let: map[string]halo.CredentialID{}, links: map[string]halo.Link{}}
	o := st.person("o")
	st.s = newSpace(t, o)
	now := branch{st.s.Heads(), map[string][]halo.CredentialID{"o": o.graph.Heads()}}
	statements := strings.Split(text, ";")
	for i := 0; i < len(statements); i++ {
		switch word := strings.TrimSpace(statements[i]); word {
		case "", "join":
		case "fork":
			i++
			now = st.fork(now, strings.Split(statements[i], "|"))
		default:
			st.say(&now, word)
		}
	}
	return st
}

func (st *story) fork(start branch, texts []string) branch {
	end := branch{nil, maps.Clone(start.mine)}
	for name := range end.mine {
		end.mine[name] = nil
	}
	for _, text := range texts {
		b := start.clone()
		for _, word := range strings.Split(text, ",,") {
			st.say(&b, strings.TrimSpace(word))
		}
		end.heads = st.newest(append(end.heads, b.heads...))
		for name, heads := range b.mine {
			end.mine[name] = st.newest(append(end.mine[name], heads...))
		}
	}
	return end
}

// newest returns the credentials of a list that no other of it follows.
func (st *story) newest(ids []halo.CredentialID) []halo.CredentialID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, halo.CredentialID.Compare)
	ids = slices.Compact(ids)
	return slices.DeleteFunc(slices.Clone(ids), func(id halo.CredentialID) bool {
		return slices.ContainsFunc(ids, func(other halo.CredentialID) bool {
			covered, err := st.s.Covers([]halo.CredentialID{other}, []halo.CredentialID{id})
			check(st.t, err)
			return other != id && covered
		})
	})
}

func (st *story) person(name string) *person {
	if p := st.people[name]; p != nil {
		return p
	}
	p := newPerson(st.t)
	st.people[name], st.device[name+".1"] = p, p.keys
	return p
}

// say makes one statement happen.
func (st *story) say(b *branch, text string) {
	st.t.Helper()
	label := ""
	if before, after, ok := strings.Cut(text, "="); ok {
		label, text = before, after
	}
	who, what, ok := strings.Cut(text, ":")
	if !ok {
		st.t.Fatalf("nobody says %q", text)
	}
	name, number, _ := strings.Cut(who, ".")
	if number == "" {
		number = "1"
	}
	p := st.person(name)
	st.know(b, name)
	by := halo.Issuer{Identity: p.Identity, Signer: st.device[name+"."+number]}
	c := st.credential(b, name, by, strings.Fields(what))
	if _, err := st.s.Add(c); err != nil {
		st.t.Fatalf("%q: %v", text, err)
	}
	st.labels[label] = c
	b.heads = st.newest(append(b.heads, c.ID))
	if c.Type < halo.TypeSpaceGenesis {
		b.mine[name] = st.newest(append(b.mine[name], c.ID))
	}
}

// know lets a branch know a person's first device.
func (st *story) know(b *branch, name string) {
	p := st.person(name)
	if b.mine[name] != nil {
		return
	}
	st.s.know(st.t, p)
	b.mine[name] = p.graph.Heads()
	b.heads = st.newest(append(b.heads, p.graph.Heads()...))
}

func (st *story) credential(b *branch, name string, by halo.Issuer, words []string) *halo.Credential {
	var payload halo.Payload
	arg := func(i int) string { return words[i] }
	switch words[0] {
	case "new":
		keys := newDevice(st.t)
		st.device[name+"."+arg(1)] = keys
		c, err := halo.ForceAdd(st.s.Graph, by, b.mine[name], keys, level(arg(2)), now)
		check(st.t, err)
		return c
	case "phrase":
		return st.phrase(b, name, strings.Split(arg(1), ","))
	case "let", "letall":
		payload = &halo.DeviceRevoke{Device: st.device[name+"."+arg(1)].ID(), Cascade: words[0] == "letall"}
	case "level":
		payload = &halo.DeviceLevel{Device: st.device[name+"."+arg(1)].ID(), Level: level(arg(2))}
	case "add":
		st.know(b, arg(1))
		role, err := halo.ParseRole(arg(2))
		check(st.t, err)
		payload = &halo.MemberSet{Identity: st.person(arg(1)).Identity, Role: role}
	case "rm":
		payload = &halo.MemberRemove{Identity: st.person(arg(1)).Identity}
	case "rotate":
		payload = st.rotate(b)
	case "grant":
		payload = st.grant(b, arg(1))
	case "policy":
		payload = &halo.Policy{RotateEvery: 1}
	case "link":
		payload = &halo.InviteIssue{Invite: halo.LinkID{1}, Key: st.person("o").keys.Public().Sign, Role: halo.RoleReader, MaxUses: 1}
	case "offer":
		payload = st.offer(words[1:])
	case "claim":
		st.know(b, arg(1))
		payload = st.claim(arg(1), arg(2), words[3:])
	case "withdraw":
		payload = &halo.InviteRevoke{Invite: st.links[arg(1)].ID()}
	case "end":
		ref := st.let[name+"."+arg(1)]
		payload = st.seal(name, arg(1), halo.SealDevice, &ref)
	case "seal":
		payload = st.seal(arg(1), "1", halo.SealSelf, nil)
	default:
		st.t.Fatalf("%q means nothing", words[0])
	}
	parents := b.heads
	if payload.Type() < halo.TypeSpaceGenesis {
		parents = b.mine[name]
	}
	c, err := halo.Force(st.s.Graph, by, parents, payload, now)
	check(st.t, err)
	if words[0] == "let" || words[0] == "letall" {
		st.let[name+"."+arg(1)] = c.ID
	}
	return c
}

func level(word string) halo.Level {
	if word == "primary" {
		return halo.LevelPrimary
	}
	return halo.LevelOrdinary
}

func (st *story) phrase(b *branch, name string, devices []string) *halo.Credential {
	view, err := st.s.StateAt(b.mine[name])
	check(st.t, err)
	p := &halo.IDCheckpoint{Gen: 1}
	for _, at := range view.Checkpoints(st.person(name).Identity) {
		p.Gen = max(p.Gen, at+1)
	}
	for _, number := range devices {
		keys := st.device[name+"."+number]
		if keys == nil {
			keys = newDevice(st.t)
			st.device[name+"."+number] = keys
		}
		p.Devices = append(p.Devices, halo.CheckpointDevice{Device: keys.Public(), Level: halo.LevelPrimary})
	}
	slices.SortFunc(p.Devices, func(a, b halo.CheckpointDevice) int {
		x, y := a.Device.ID(), b.Device.ID()
		return slices.Compare(x[:], y[:])
	})
	c, err := halo.ForceRoot(st.person(name).root, st.person(name).Identity, b.mine[name], p, now)
	check(st.t, err)
	for who := range st.device {
		if strings.HasPrefix(who, name+".") && !slices.Contains(devices, strings.TrimPrefix(who, name+".")) {
			st.let[who] = c.ID
		}
	}
	return c
}

func (st *story) rotate(b *branch) halo.Payload {
	view, err := st.s.StateAt(b.heads)
	check(st.t, err)
	key, err := halo.NewEpochKey()
	check(st.t, err)
	p, err := halo.ForceRotate(view, key, func(id halo.EpochID) (halo.EpochKey, bool) { k, ok := st.keys[id]; return k, ok })
	check(st.t, err)
	st.keys[p.Epoch] = key
	return p
}

func (st *story) grant(b *branch, to string) halo.Payload {
	view, err := st.s.StateAt(b.heads)
	check(st.t, err)
	epoch := view.LatestEpochs()[0].ID
	w, err := halo.WrapFor(st.person(to).keys.Public(), st.s.Space(), epoch, st.keys[epoch])
	check(st.t, err)
	return &halo.KeyGrant{Epoch: epoch, Key: w}
}

func (st *story) seal(name, number string, why halo.SealWhy, ref *halo.CredentialID) halo.Payload {
	st.nonce++
	nonce, device := [16]byte{st.nonce}, st.device[name+"."+number].ID()
	return &halo.FeedSeal{Cut: halo.Cut{Feed: halo.NewFeedID(st.s.Space(), device, nonce), Seq: -1},
		Why: why, Ref: ref, Device: device, Identity: st.person(name).Identity, Nonce: nonce}
}

// result writes what a state says, in words: members, devices where somebody
// has several, epochs, and which of the labelled statements count for nothing.
func (st *story) result(s *halo.State) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(st.people)) {
		if role := s.Role(st.people[name].Identity); role != halo.RoleNone {
			out = append(out, name+" "+role.String())
		}
	}
	for _, who := range slices.Sorted(maps.Keys(st.device)) {
		name, number, _ := strings.Cut(who, ".")
		if _, several := st.device[name+".2"]; !several && number == "1" {
			continue
		}
		d, _ := s.Device(st.people[name].Identity, st.device[who].ID())
		word := d.Level.String()
		if d.Suspended {
			word = "suspended"
		}
		out = append(out, who+" "+word)
	}
	for _, name := range slices.Sorted(maps.Keys(st.people)) {
		if slices.ContainsFunc(s.Waiting(), func(w halo.Waiting) bool { return w.Identity == st.people[name].Identity }) {
			out = append(out, name+" waits")
		}
	}
	var void []string
	for label, c := range st.labels {
		if label != "" && !s.Counts(c.ID) {
			void = append(void, label)
		}
	}
	slices.Sort(void)
	if len(void) > 0 {
		out = append(out, "void "+strings.Join(void, " "))
	}
	return strings.Join(out, ", ")
}

// TestStories is the resolver, in drawn graphs: each shows the rule that its
// name says.
func TestStories(t *testing.T) {
	for _, test := range []struct{ name, story, want string }{
		{"what a removed admin did before stays",
			"o:add a admin; a:add e editor; o:rm a", "e editor, o owner"},
		{"what a removed admin did concurrently is void",
			"o:add a admin; a:add e editor; fork; o:rm a | x=a:add x editor; join", "e editor, o owner, void x"},
		{"and what builds on that falls",
			"o:add a admin; fork; o:rm a | x=a:add b admin,, y=b:add c editor; join", "o owner, void x y"},
		{"a removed admin's revenge",
			"o:add a admin; o:add b editor; fork; o:rm a | x=a:rm b; join", "b editor, o owner, void x"},
		{"backdated from the beginning",
			"o:add a admin; fork; o:add b editor,, o:add c editor,, o:rm a | x=a:add y editor; join", "b editor, c editor, o owner, void x"},
		{"a demoted admin keeps what its role allows",
			"o:add a admin; o:add e editor; o:rotate; fork; o:add a editor | y=a:grant e,, x=a:rm e,, z=a:link; join",
			"a editor, e editor, o owner, void x z"},
		{"a demotion to reader voids an epoch",
			"o:add e editor; o:rotate; fork; o:add e reader | x=e:rotate,, y=e:grant e; join", "e reader, o owner, void x"},
		{"admins do not lower each other",
			"o:add a admin; o:add b admin; fork; x=a:rm b | y=b:rm a; join", "a admin, b admin, o owner, void x y"},
		{"an owner lowers nobody of its rank",
			"o:add p owner; x=o:rm p; y=o:add p reader", "o owner, p owner, void x y"},
		{"an admin does not touch owners, nor rise",
			"o:add a admin; x=a:rm o; y=a:add a owner; z=a:add b admin", "a admin, o owner, void x y z"},
		{"editors and readers say nothing about members",
			"o:add e editor; o:add r reader; x=e:add y editor; y=r:rm e; z=e:link", "e editor, o owner, r reader, void x y z"},
		{"who resigns cannot backdate",
			"o:add a admin; fork; a:rm a | x=a:add x editor; join", "o owner, void x"},
		{"two resignations both stand, the lower holds",
			"o:add a admin; fork; a:rm a | a:add a reader; join", "o owner"},
		{"resigning is no way out of a removal",
			"o:add a admin; o:add b admin; fork; a:rm a | x=a:rm b; join", "b admin, o owner, void x"},
		{"promoted and removed at once: the lower",
			"o:add a admin; o:add e reader; fork; o:add e editor | a:rm e; join", "a admin, o owner"},
		{"readmitted in knowledge of the removal",
			"o:add a admin; fork; o:rm a | x=a:add x editor; join; o:add a editor", "a editor, o owner, void x"},
		{"a readmission that does not know of the removal",
			"o:add a admin; o:add b admin; o:add e editor; fork; a:rm e | b:add e reader; join", "a admin, b admin, o owner"},
		{"the higher removal voids the lower",
			"o:add a admin; o:add b editor; o:add c editor; fork; o:rm a | x=a:rm b | a:rm c; join; o:add c editor", "b editor, c editor, o owner, void x"},
		{"a rank that was only thought to be",
			"o:add p owner; fork; o:add b admin | p:add a admin; join; fork; a:add a editor | x=a:add c editor; join",
			"a editor, b admin, o owner, p owner, void x"},
		{"a feed seal by an editor who was removed at the time",
			"o:add e editor; fork; o:rm e | x=e:seal e; join", "o owner, void x"},
		{"a feed seal by a reader of its own feed stays",
			"o:add e editor; fork; o:add e reader | e:seal e; join", "e reader, o owner"},
		{"an epoch on top of a void epoch",
			"o:add e editor; o:add f editor; o:rotate; fork; o:rm e | x=e:rotate,, y=f:rotate; join; z=o:rotate", "f editor, o owner, void x y"},
		{"a lost device: what its person sealed before it counts",
			"o:add a admin; a:new 2 primary; a:add e editor; a.2:let 1; a.2:end 1; a.2:add f editor",
			"a admin, e editor, f editor, o owner, a.1 none, a.2 primary"},
		{"a stolen device cannot backdate past the seal",
			"o:add a admin; a:new 2 primary; a:add e editor; fork; a.2:let 1,, a.2:end 1 | x=a.1:add f editor,, y=a.1:rm e; join",
			"a admin, e editor, o owner, a.1 none, a.2 primary, void x y"},
		{"before its person seals it, what it did stays",
			"o:add a admin; a:new 2 primary; fork; a.2:let 1 | a.1:add f editor; join",
			"a admin, f editor, o owner, a.1 none, a.2 primary"},
		{"a stolen ordinary device lets nobody go",
			"o:add a admin; a:new 2 ordinary; x=a.2:let 1; y=a.2:new 3 primary; z=a.2:level 2 primary",
			"a admin, o owner, a.1 primary, a.2 ordinary, a.3 none, void x y z"},
		{"two primaries let each other go: both are out",
			"o:add a editor; a:new 2 primary; fork; a:let 2 | a.2:let 1; join; x=a:rotate",
			"a editor, o owner, a.1 suspended, a.2 suspended, void x"},
		{"a third decides",
			"o:add a editor; a:new 2 primary; a:new 3 primary; fork; a:let 2 | a.2:let 1; join; a.3:level 1 primary",
			"a editor, o owner, a.1 primary, a.2 suspended, a.3 primary"},
		{"a primary that is contradicted takes no third along",
			"o:add a editor; a:new 2 primary; a:new 3 primary; fork; a:let 2 | a.2:let 1,, x=a.2:let 3; join",
			"a editor, o owner, a.1 suspended, a.2 suspended, a.3 primary, void x"},
		{"a primary that was let go takes no other along",
			"o:add a editor; a:new 2 primary; a:new 3 primary; fork; a:let 2 | x=a.2:let 3; join",
			"a editor, o owner, a.1 primary, a.2 none, a.3 primary, void x"},
		{"a circle of three",
			"o:add a editor; a:new 2 primary; a:new 3 primary; fork; a:let 2 | a.2:let 3 | a.3:let 1; join",
			"a editor, o owner, a.1 none, a.2 none, a.3 none"},
		{"a thief's devices go with it",
			"o:add a editor; a:new 2 primary; a.2:new 3 ordinary; a.2:new 4 primary; a.4:new 5 ordinary; a:letall 2",
			"a editor, o owner, a.1 primary, a.2 none, a.3 none, a.4 none, a.5 none"},
		{"and those it adds at the time",
			"o:add a editor; a:new 2 primary; fork; a:let 2 | x=a.2:new 3 primary,, y=a.3:new 4 primary; join",
			"a editor, o owner, a.1 primary, a.2 none, a.3 none, a.4 none, void x y"},
		{"a demoted primary keeps its word in the space",
			"o:add a admin; a:new 2 primary; fork; a:level 2 ordinary | x=a.2:new 3 ordinary | a.2:add e editor; join",
			"a admin, e editor, o owner, a.1 primary, a.2 ordinary, a.3 none, void x"},
		{"the phrase outweighs a thief who let all others go",
			"o:add a admin; a:new 2 primary; a.2:let 1; fork; a:phrase 4 | x=a.2:new 3 primary,, y=a.3:add e editor; join; a.4:end 2; a.4:add f editor",
			"a admin, f editor, o owner, a.1 none, a.2 none, a.3 none, a.4 primary, void x y"},
		{"the phrase keeps its devices",
			"o:add a editor; a:new 2 primary; fork; a:let 2 | a.2:let 1; join; a:phrase 1",
			"a editor, o owner, a.1 primary, a.2 none"},
		{"the phrase on two machines: what both say",
			"o:add a editor; a:new 2 primary; fork; a:phrase 1,2 | a:phrase 2,3; join",
			"a editor, o owner, a.1 none, a.2 primary, a.3 none"},
		{"a link admits those whom its hosts meet, as often as it says",
			"o:add a editor; o:offer l reader 2 members; a:claim x l; a:claim y l; a:claim z l", "a editor, o owner, x reader, y reader, z waits"},
		{"who waits becomes a member by an admin's word",
			"o:add a editor; o:offer l editor 5 members ask; a:claim x l; x=x:add y reader; o:add x editor; x:rotate", "a editor, o owner, x editor, void x"},
		{"or does not, and comes by no link again",
			"o:add a editor; o:offer l editor 5 members; o:offer m editor 5 ask; o:claim x m; y=a:rm x; o:rm x; z=a:claim x l; x=o:claim x m",
			"a editor, o owner, void x y z"},
		{"an admin takes back a member, a link does not",
			"o:offer l editor 5; o:claim x l; o:rm x; z=o:claim x l; fork; o:add x reader; join", "o owner, x reader, void z"},
		{"a link of admins is not for editors",
			"o:add e editor; o:offer l reader 5; z=e:claim x l", "e editor, o owner, void z"},
		{"readers host nothing",
			"o:add r reader; o:offer l reader 5 members; z=r:claim x l", "o owner, r reader, void z"},
		{"a link gives the role that it was made for",
			"o:add a admin; o:offer l reader 5; x=a:claim x l editor; y=o:claim y l admin", "a admin, o owner, void x y"},
		{"a link that is over",
			"o:offer l reader 5 old; x=o:claim x l", "o owner, void x"},
		{"a link raises nobody",
			"o:add r reader; o:offer l editor 5; x=o:claim r l", "o owner, r reader, void x"},
		{"a withdrawn link", "o:offer l reader 5; o:withdraw l; x=o:claim x l", "o owner, void x"},
		{"withdrawn at the same time",
			"o:add a admin; o:offer l editor 5 members; o:add e editor; o:claim y l; fork; a:withdraw l | x=o:claim x l | z=e:claim z l,, w=z:claim w l; join",
			"a admin, e editor, o owner, y editor, void w x z"},
		{"withdrawn by somebody who was removed",
			"o:add a admin; o:offer l editor 5; fork; x=a:withdraw l | o:rm a | o:claim y l; join", "o owner, y editor, void x"},
		{"a link of somebody who was removed at the time",
			"o:add a admin; fork; o:rm a | x=a:offer l editor 5,, y=a:claim y l; join", "o owner, void x y"},
		{"a link outlives the removal of who made it",
			"o:add a admin; a:offer l editor 5; o:rm a; o:claim y l", "o owner, y editor"},
		{"a host who was made a reader at the time",
			"o:add e editor; o:offer l editor 5 members; fork; o:add e reader | x=e:claim x l; join", "e reader, o owner, void x"},
		{"editors make no links", "o:add e editor; x=e:offer l reader 1 members; y=e:claim y l", "e editor, o owner, void x y"},
		{"two hosts meet one guest",
			"o:add a admin; o:offer l editor 1; fork; o:claim x l | a:claim x l; join; y=o:claim y l", "a admin, o owner, x editor, y waits"},
		{"waiting takes nothing that was given at the same time",
			"o:add a admin; o:offer l editor 1 ask; fork; o:claim x l | a:add x reader; join", "a admin, o owner, x reader"},
		{"policy is the owner's",
			"o:add a admin; x=a:policy; o:policy", "a admin, o owner, void x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			st := tell(t, test.story)
			if got := st.result(st.s.State()); got != test.want {
				t.Errorf("%s\n got %s\nwant %s", test.story, got, test.want)
			}
			// The same from other orders of arrival.
			all := st.s.All()
			slices.Reverse(all)
			g := halo.NewGraph(st.s.Space())
			for _, c := range all {
				_, err := g.Add(c)
				check(t, err)
			}
			if got := st.result(g.State()); got != test.want {
				t.Errorf("%s, the other way round\n got %s\nwant %s", test.story, got, test.want)
			}
		})
	}
}
