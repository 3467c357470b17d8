package fs_test

import (
	"testing"

	"echofs/fs"
)

func TestXAttr(t *testing.T) {
	m := mount(t, fs.Options{XAttr: true})
	m.sh(`echo '{"a":1}' > a.json; echo x > .local`)
	m.settle("a.json")
	n := m.node("a.json")
	for _, c := range []struct{ path, name, want string }{
		{"a.json", "user.echofs.id", n.ID.String()},
		{"a.json", "user.echofs.kind", "object"},
		{"a.json", "user.echofs.space", m.space.PublicID()},
		{"a.json", "user.echofs.uri", "echo://" + m.space.PublicID() + "/" + n.ID.String()},
		{"a.json", "user.echofs.author", "ada"},
		{"a.json", "user.echofs.heads", n.Version.Heads.Strings()[0]},
		{"a.json", "user.echofs.replicas", "1"},
		{"a.json", "user.echofs.error", "ENODATA"},
		{"a.json", "user.other", "ENODATA"},
		{"a.json", "security.capability", "ENOTSUP"},
		{".local", "user.echofs.kind", "local"},
		{".echofs/meta", "user.echofs.kind", "ENODATA"},
		{".local", "", "user.echofs.kind user.echofs.space "},
	} {
		if got := m.getxattr(c.path, c.name); got != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.name, c.path, got, c.want)
		}
	}
	m.fails(`setfattr -n user.echofs.kind -v x a.json || exit 1`)
	m.want(`cp -a a.json b.json; echo '{' > a.json; cat b.json`, "{\"a\":1}\n") // copies attributes
	if got := m.getxattr("a.json", "user.echofs.error"); got == "ENODATA" || got == "" {
		t.Errorf("a draft has the error %q", got)
	}
}

func TestNoXAttr(t *testing.T) {
	m := mount(t, fs.Options{})
	m.sh(`echo '{"a":1}' > a.json`)
	if got := m.getxattr("a.json", "user.echofs.id"); got != "ENOTSUP" {
		t.Errorf("got %q, want none", got)
	}
}
