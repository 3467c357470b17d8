package names_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"echofs/echo/names"
)

const id = "01JCXYZ0000000000000ABCDEF"

var escapes = []struct {
	label   string
	own     string
	foreign string // "" where it is the same
}{
	{"", "%", ""},
	{".", "%2E", ""},
	{"..", ".%2E", "%2E%2E"},
	{"../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2E.%2F..%2Fetc%2Fpasswd"},
	{"inv\u202egpj.exe", "inv%E2%80%AEgpj.exe", ""},
	{"-rf", "-rf", "%2Drf"},
	{".git", ".git", "%2Egit"},
	{"~root", "%7Eroot", ""},
	{"x.", "x%2E", ""},
	{"con ", "con%20", ""},
	{" x y", "%20x y", ""},
	{"\x1b]52;c;..\x07x", "%1B]52;c;..%07x", ""},
	{"cafe\u0301", "café", ""},
	{"\u0301x", "%CC%81x", ""},
	{"e\u200b\u0301", "e%E2%80%8B%CC%81", ""},
	{"100%", "100%", ""},
	{"100%2", "100%2", ""},
	{"100%zz", "100%zz", ""},
	{"a%20b", "a%2520b", ""},
	{"a%2fb", "a%252fb", ""},
	{"%", "%25", ""},
	{"%%41", "%%2541", ""},
	{"\xff\xfe", "%FF%FE", ""},
	{"a\x00b\nc\\d", "a%00b%0Ac%5Cd", ""},
	{"\u00a0\u2003\u3000", "%C2%A0%E2%80%83%E3%80%80", ""},
	{"a\u00adb\u034fc\u3164", "a%C2%ADb%CD%8Fc%E3%85%A4", ""},
	{"\U000e0041", "%F3%A0%81%81", ""},
	{"❤\ufe0f", "❤%EF%B8%8F", ""},
	{"日本語 🙂 naïve.txt", "日本語 🙂 naïve.txt", ""},
	{"a.b-c~d e", "a.b-c~d e", ""},
	{"�", "�", ""},
}

func TestEscape(t *testing.T) {
	for _, tt := range escapes {
		if got := names.Escape(tt.label, false); got != tt.own {
			t.Errorf("Escape(%q, own): got %q, want %q", tt.label, got, tt.own)
		}
		want := tt.foreign
		if want == "" {
			want = tt.own
		}
		if got := names.Escape(tt.label, true); got != want {
			t.Errorf("Escape(%q, foreign): got %q, want %q", tt.label, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, tt := range escapes {
		f.Add(tt.label, true)
		f.Add(tt.label, false)
	}
	f.Add(strings.Repeat("é", 300), false)
	f.Add(strings.Repeat("/", 200)+".json", true)
	f.Add("x"+strings.Repeat("\u0301", 100), true)
	f.Fuzz(func(t *testing.T, label string, foreign bool) {
		want := norm.NFC.String(label)
		escaped := names.Escape(label, foreign)
		if got := names.Unescape(escaped); got != want {
			t.Errorf("Unescape(Escape(%q)): got %q, want %q", label, got, want)
		}
		if again := names.Escape(names.Unescape(escaped), foreign); again != escaped {
			t.Errorf("Escape(%q) is %q, and after a round trip %q", label, escaped, again)
		}
		name := names.Component(label, id, foreign)
		checkName(t, name, foreign)
		if len(escaped) <= names.MaxBytes && name != escaped {
			t.Errorf("Component(%q): got %q, want %q", label, name, escaped)
		}
		checkName(t, names.Suffixed(name, "ABCDEF"), foreign)
		if got, err := names.Create(names.Component(label, id, false)); len(escaped) <= names.MaxBytes && !foreign && (err != nil || got != want) {
			t.Errorf("Create(Component(%q)): got %q, %v, want %q", label, got, err, want)
		}
	})
}

// checkName demands what every name promises.
func checkName(t *testing.T, name string, foreign bool) {
	t.Helper()
	switch {
	case name == "", name == ".", name == "..", len(name) > names.MaxBytes,
		strings.ContainsAny(name, "/\\\x00"), !utf8.ValidString(name), !norm.NFC.IsNormalString(name),
		strings.HasPrefix(name, "~"), strings.HasPrefix(name, " "), strings.HasSuffix(name, " "), strings.HasSuffix(name, "."),
		foreign && (name[0] == '.' || name[0] == '-'):
		t.Errorf("bad name %q", name)
	}
	for i, r := range name {
		if !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zs, r) && r != ' ' || i == 0 && unicode.Is(unicode.M, r) {
			t.Errorf("bad character %U in name %q", r, name)
		}
	}
}

func TestComponentCuts(t *testing.T) {
	tests := []struct{ label, want string }{
		{strings.Repeat("a", 255), strings.Repeat("a", 255)},
		{strings.Repeat("a", 256), strings.Repeat("a", 246) + "~00ABCDEF"},
		{strings.Repeat("é", 128), strings.Repeat("é", 123) + "~00ABCDEF"},
		{"a" + strings.Repeat("é", 128), "a" + strings.Repeat("é", 122) + "~00ABCDEF"},
		{strings.Repeat("\n", 100), strings.Repeat("%0A", 82) + "~00ABCDEF"},
		{"a" + strings.Repeat("\n", 100), "a" + strings.Repeat("%0A", 81) + "~00ABCDEF"},
		{strings.Repeat("\u200b", 100), strings.Repeat("%E2%80%8B", 27) + "~00ABCDEF"},
		{strings.Repeat("\xff", 100), strings.Repeat("%FF", 82) + "~00ABCDEF"},
	}
	for _, tt := range tests {
		if got := names.Component(tt.label, id, false); got != tt.want {
			t.Errorf("Component of %d bytes: got %q, want %q", len(tt.label), got, tt.want)
		}
	}
	if got := names.Component(strings.Repeat("a", 256), "X", false); got != strings.Repeat("a", 253)+"~X" {
		t.Errorf("Component with a short id: got %q", got)
	}
}

func TestCreate(t *testing.T) {
	for _, tt := range escapes {
		if label, err := names.Create(tt.own); err != nil || label != norm.NFC.String(tt.label) {
			t.Errorf("Create(%q): got %q, %v, want %q", tt.own, label, err, tt.label)
		}
	}
	for _, name := range []string{
		"", ".", "..", "~x", "x.", "x ", " x", "a\\b", "a\nb", "cafe\u0301", "a\u200bb", "\xff", "a%20b", "a%2fb", "%2D", "%2Ex", "%0a",
		strings.Repeat("a", 256),
	} {
		if label, err := names.Create(name); !errors.Is(err, names.ErrInvalidName) {
			t.Errorf("Create(%q): got %q, %v, want %v", name, label, err, names.ErrInvalidName)
		}
	}
}

func FuzzCreate(f *testing.F) {
	for _, tt := range escapes {
		f.Add(tt.own)
		f.Add(tt.label)
	}
	f.Fuzz(func(t *testing.T, name string) {
		label, err := names.Create(name)
		if err != nil {
			if !errors.Is(err, names.ErrInvalidName) {
				t.Errorf("Create(%q): got %v, want an error that wraps ErrInvalidName", name, err)
			}
			return
		}
		checkName(t, name, false)
		if got := names.Component(label, id, false); got != name {
			t.Errorf("Create(%q) is label %q, shown as %q", name, label, got)
		}
	})
}

func TestSuffixed(t *testing.T) {
	tests := []struct{ name, id, want string }{
		{"note.json", "3V7K2Q", "note@3V7K2Q.json"},
		{"archive.tar.gz", "3V7K2Q", "archive.tar@3V7K2Q.gz"},
		{"folder", "3V7K2Q", "folder@3V7K2Q"},
		{".profile", "3V7K2Q", ".profile@3V7K2Q"},
		{"Dear Mr. Smith", "3V7K2Q", "Dear Mr. Smith@3V7K2Q"},
		{"x.averyverylongextension", "3V7K2Q", "x.averyverylongextension@3V7K2Q"},
		{"note.json", id, "note@" + id + ".json"},
		{"a@3V7K2Q.md", "ABCDEF", "a@3V7K2Q@ABCDEF.md"},
		{"%", "3V7K2Q", "%@3V7K2Q"},
	}
	for _, tt := range tests {
		if got := names.Suffixed(tt.name, tt.id); got != tt.want {
			t.Errorf("Suffixed(%q, %q): got %q, want %q", tt.name, tt.id, got, tt.want)
		}
		if plain, id, ok := names.SplitSuffix(tt.want); plain != tt.name || id != tt.id || !ok {
			t.Errorf("SplitSuffix(%q): got %q, %q, %v, want %q, %q", tt.want, plain, id, ok, tt.name, tt.id)
		}
	}
	for _, name := range []string{"", "note.json", "me@home.json", "a@1234567.md", "a@12345-.md", "@", "a.3V7K2Q@x.md"} {
		if plain, id, ok := names.SplitSuffix(name); plain != name || id != "" || ok {
			t.Errorf("SplitSuffix(%q): got %q, %q, %v, want no suffix", name, plain, id, ok)
		}
	}
	long := names.Suffixed(strings.Repeat("\u00e9", 125)+".json", "3V7K2Q")
	if want := strings.Repeat("\u00e9", 121) + "@3V7K2Q.json"; long != want {
		t.Errorf("Suffixed of a long name: got %q, want %q", long, want)
	}
}

func TestCollisionKey(t *testing.T) {
	for _, same := range [][]string{
		{"README.md", "readme.md", "Readme.MD", "ｒｅａｄｍｅ.md"},
		{"straße", "STRASSE", "Strasse"},
		{"ﬁle", "file", "FILE"},
		{"Å", "Å", "å"},
	} {
		for _, name := range same[1:] {
			if got, want := names.CollisionKey(name), names.CollisionKey(same[0]); got != want {
				t.Errorf("CollisionKey(%q) is %q, of %q it is %q", name, got, same[0], want)
			}
		}
	}
	if names.CollisionKey("a.md") == names.CollisionKey("b.md") {
		t.Error("different names have one key")
	}
}

func TestIsLocal(t *testing.T) {
	local := []string{
		".", ".git", ".gitignore", ".note.md.swp", "#note.md#", "note.md~", "note.md.~3~", ".#note.md", ".goutputstream-AB12CD", ".note.md.Xa1b2C",
		"4913", "5036", "5159", "sedA1b2C3", "sedabcdef", "XXabc123", "XX_a1B2c", "DEADJOE",
		"tmpab12_xyz", "tmpabcdefgh", "tmpA1b2C3", "tmp.AbCdEf0123", "tmp_obj_a1B2c3",
		"note.md.bak", "note.bak", "x.ORIG", "x.rej", "x.swp", "x.swo", "x.tmp", "x.part", "x.crdownload", "x.lock", "data.json.lock", "x.save", "x.save.1", "x.bck",
		"t.json.12345678", "t.json.54321", "t.json.tmp-0a1b2c", "t.json.tmp.4711", "t.json.tmp.4711.1700000000",
		"t.json___jb_tmp___", "t.json___jb_old___", "t.json.oA1b2c3", "t.md.AbCdEf", "t.md.AbCd012345",
		"app.db-journal", "app.sqlite3-wal", "App.DB-shm",
	}
	for _, name := range local {
		if !names.IsLocal(name) {
			t.Errorf("IsLocal(%q): got false", name)
		}
	}
	shared := []string{
		"", "a", "note.json", "note.md", "a~b.md", "a#b", "x.y.z", "-rf", "4912", "4914", "04913", "49130", "10000", "2026", "2026.json", "5036.json",
		"sed", "sediment", "sedA1b2C3.txt", "sed-notes", "XXL", "XXabc1234", "tmp", "tmpfolder", "tmp.txt", "tmpab12_xyz.json", "tmp notes",
		"log.2026", "report.2026.md", "v1.2.12345", "app.log.1", "photo.2026", "t.json.1234",
		"Cargo.lock", "yarn.lock", "flake.lock", "x.locked", "x.temp", "swp", "bak", "part", "x.parts", "x.backup", "x.sqlite", "x.gradle", "x.CONFIG",
		"x.options", "x.outline", "x.excalidraw", "notes.tmp-plan", "x.obj", "save", "a.tmpl", "%2Egit",
	}
	for _, name := range shared {
		if names.IsLocal(name) {
			t.Errorf("IsLocal(%q): got true", name)
		}
	}
}

func TestQuote(t *testing.T) {
	tests := []struct{ s, want string }{
		{"note.json", "note.json"},
		{"a/b@c+d,e:f%20", "a/b@c+d,e:f%20"},
		{"日本語", "日本語"},
		{"", `""`},
		{"a b", `"a b"`},
		{"-rf", `"-rf"`},
		{"it's", `"it's"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"\x1b]0;x\x07", `"\x1B]0;x\x07"`},
		{"a\u202eb", `"a\u202eb"`},
		{"a\U000e0041", `"a\U000e0041"`},
		{"\xffé", `"\xFFé"`},
		{"\u0301x", `"\u0301x"`},
		{"\u0085", `"\u0085"`},
	}
	for _, tt := range tests {
		if got := names.Quote(tt.s); got != tt.want {
			t.Errorf("Quote(%q): got %s, want %s", tt.s, got, tt.want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, tt := range escapes {
		f.Add(tt.label)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := names.Quote(s)
		for _, r := range quoted {
			if !unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zs, r) && r != ' ' {
				t.Errorf("Quote(%q) has %U", s, r)
			}
		}
		if quoted == s {
			return
		}
		if got, err := strconv.Unquote(quoted); err != nil || got != s {
			t.Errorf("Quote(%q) is %s, which is read as %q, %v", s, quoted, got, err)
		}
	})
}
