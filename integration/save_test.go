package integration_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// milk is the object that programs edit. It is written with a layout of its
// own, which a save must not change elsewhere.
const milk = `{"title": "Buy milk",  "done": false,
 "n": 1, "tags": ["shop"]}
`

// done is milk after the change that most programs make.
var done = strings.Replace(milk, "false", "true", 1)

// save is a way in which a program saves a file.
type save struct {
	name   string
	need   []string // programs, besides those of the shell
	file   string   // default f.json
	before string   // default milk
	script string   // $F is the file
	want   string   // what the file says afterwards; default done
	fields []string // of each mutation, oldest first: "/a /b"; default one of /done
	leaves string   // local files that are left, as ls -A prints them
}

// python edits $F by way of the json module.
func python(write string) string {
	return "python3 - <<'EOP'\nimport json, os, tempfile\nF = os.environ['F']\n" +
		"d = json.load(open(F))\nd['done'] = True\n" + write + "\nEOP"
}

var (
	compact  = `{"title":"Buy milk","done":true,"n":1,"tags":["shop"]}` + "\n"
	pretty   = "{\n  \"title\": \"Buy milk\",\n  \"done\": true,\n  \"n\": 1,\n  \"tags\": [\n    \"shop\"\n  ]\n}\n"
	pythonic = `{"title": "Buy milk", "done": true, "n": 1, "tags": ["shop"]}`
	none     = []string{}
	two      = []string{"/done", "/n"}
)

var saves = []save{
	{name: "echo", script: `echo '` + strings.TrimSpace(compact) + `' > $F`, want: compact},
	{name: "echo twice", script: `echo '` + strings.TrimSpace(compact) + `' > $F; echo '` + strings.TrimSpace(strings.Replace(compact, ":1", ":2", 1)) + `' > $F`,
		want: strings.Replace(compact, ":1", ":2", 1), fields: two},
	{name: "the same bytes", script: `cat $F > .copy; cat .copy > $F; rm .copy`, want: milk, fields: none},
	{name: "another layout", need: []string{"jq"}, script: `jq . $F > .copy; cat .copy > $F; rm .copy`,
		want: strings.Replace(pretty, "true", "false", 1), fields: none},
	{name: "cat", script: `sed s/false/true/ $F > .new; cat .new > $F; rm .new`},
	{name: "cat with a heredoc", script: "cat > $F <<'EOT'\n" + done + "EOT"},
	{name: "a group of commands", script: `{ echo '{"title":"Buy milk","done":true,'; cat .rest 2>/dev/null || true; echo '"n":1,"tags":["shop"]}'; } > $F`,
		want: strings.Replace(compact, `"n"`, "\n\"n\"", 1)},
	{name: "a descriptor kept open", script: `exec 5> $F; echo '{"title":"Buy milk",' >&5; /bin/echo '"done":true,' >&5; echo '"n":1,"tags":["shop"]}' >&5; exec 5>&-`,
		want: "{\"title\":\"Buy milk\",\n\"done\":true,\n\"n\":1,\"tags\":[\"shop\"]}\n"},
	{name: "jq and mv", need: []string{"jq"}, script: `jq '.done=true' $F > t && mv t $F`, want: pretty},
	{name: "jq and mv of a .json", need: []string{"jq"}, script: `jq '.done=true' $F > .t.json && mv .t.json $F`, want: pretty},
	{name: "jq, mktemp, mv", need: []string{"jq"}, script: `t=$(mktemp ./tmp.XXXXXX); jq '.done=true' $F > $t; mv $t $F`, want: pretty},
	{name: "sponge", need: []string{"jq", "sponge"}, script: `jq '.done=true' $F | sponge $F`, want: pretty},
	{name: "tee", script: `sed s/false/true/ $F > .new; tee $F < .new > /dev/null; rm .new`},
	{name: "sed -i", script: `sed -i s/false/true/ $F`},
	{name: "sed -i.bak", script: `sed -i.bak s/false/true/ $F`, leaves: "f.json.bak"},
	{name: "perl -pi", need: []string{"perl"}, script: `perl -pi -e s/false/true/ $F`},
	{name: "perl -pi.bak", need: []string{"perl"}, script: `perl -pi.bak -e s/false/true/ $F; rm -f $F.bak`},
	{name: "ed", need: []string{"ed"}, script: `printf '%s\n' 1s/false/true/ w q | ed -s $F`},
	{name: "ed writes twice", need: []string{"ed"}, script: `printf '%s\n' 1s/false/true/ w '2s/: 1/: 2/' w q | ed -s $F`,
		want: strings.Replace(done, ": 1", ": 2", 1), fields: two},
	{name: "cp over", script: `sed s/false/true/ $F > .new; cp .new $F; rm .new`},
	{name: "cp -p from elsewhere", script: `sed s/false/true/ $F > "$HOME/new"; cp -p "$HOME/new" $F`},
	{name: "cp -b", script: `sed s/false/true/ $F > .new; cp -b .new $F; rm .new`, leaves: "f.json~"},
	{name: "cp --remove-destination", script: `sed s/false/true/ $F > "$HOME/new"; cp --remove-destination "$HOME/new" $F`},
	{name: "mv over", script: `sed s/false/true/ $F > .new; mv .new $F`},
	{name: "mv from elsewhere", script: `sed s/false/true/ $F > "$HOME/new"; mv "$HOME/new" $F`},
	{name: "mv away and back", script: `mv $F $F.orig; sed s/false/true/ $F.orig > $F; rm $F.orig`},
	{name: "install", script: `sed s/false/true/ $F > "$HOME/new"; install -m 644 "$HOME/new" $F`},
	{name: "rm and echo", script: `rm $F; echo '` + strings.TrimSpace(compact) + `' > $F`, want: compact},
	{name: "dd", script: `sed s/false/true/ $F > .new; dd if=.new of=$F status=none; rm .new`},
	{name: "rsync -a", need: []string{"rsync"}, script: `mkdir -p "$HOME/r"; sed s/false/true/ $F > "$HOME/r/$F"; rsync -a "$HOME/r/" ./`},
	{name: "rsync --inplace", need: []string{"rsync"}, script: `mkdir -p "$HOME/i"; sed s/false/true/ $F > "$HOME/i/$F"; rsync -a --inplace "$HOME/i/" ./`},
	{name: "tar x", script: `mkdir -p "$HOME/t"; sed s/false/true/ $F > "$HOME/t/$F"; tar c -C "$HOME/t" $F | tar x`},
	{name: "patch", need: []string{"patch"}, script: `sed s/false/true/ $F > .new; diff -u $F .new > .diff || true; patch -s $F .diff; rm .new .diff`},
	{name: "python in place", need: []string{"python3"}, script: python(`with open(F, "w") as f: json.dump(d, f)`), want: pythonic},
	{name: "python os.replace", need: []string{"python3"}, want: pythonic, script: python(`with tempfile.NamedTemporaryFile("w", dir=".", delete=False) as f:
    json.dump(d, f)
    f.flush()
    os.fsync(f.fileno())
os.replace(f.name, F)`)},
	{name: "python r+", need: []string{"python3"}, want: pythonic, script: python(`with open(F, "r+") as f:
    f.seek(0)
    json.dump(d, f)
    f.truncate()`)},
	{name: "node", need: []string{"node"}, want: compact, script: `node -e '
const fs = require("fs"), F = process.env.F, d = JSON.parse(fs.readFileSync(F));
d.done = true; fs.writeFileSync(F, JSON.stringify(d) + "\n");'`},
	{name: "node, and rename", need: []string{"node"}, want: compact, script: `node -e '
const fs = require("fs").promises, F = process.env.F;
(async () => { const d = JSON.parse(await fs.readFile(F)); d.done = true;
	const t = F + "." + process.pid; await fs.writeFile(t, JSON.stringify(d) + "\n"); await fs.rename(t, F); })();'`},
	{name: "safe write of an IDE", script: `sed s/false/true/ $F > ${F}___jb_tmp___; mv $F ${F}___jb_old___; mv ${F}___jb_tmp___ $F; rm ${F}___jb_old___`},
	{name: "touch", script: `touch $F; touch -d 2001-02-03 $F`, want: milk, fields: none},
	{name: "chmod", script: `chmod 600 $F; chmod 644 $F`, want: milk, fields: none},
	{name: "truncate to what it has", script: `truncate -s $(stat -c %s $F) $F`, want: milk, fields: none},
	{name: "truncate, then write", script: `sed s/false/true/ $F > .new; truncate -s 0 $F; cat .new > $F; rm .new`},
	{name: "a field more and one less", need: []string{"jq"}, script: `jq -c '.done=true | .due="2026-12-01" | del(.n)' $F > .t && mv .t $F`,
		want: `{"title":"Buy milk","done":true,"tags":["shop"],"due":"2026-12-01"}` + "\n", fields: []string{"/done /due /n"}},
	{name: "an element of a list", need: []string{"jq"}, script: `jq -c '.tags += ["dairy"]' $F > .t && mv .t $F`,
		want: `{"title":"Buy milk","done":false,"n":1,"tags":["shop","dairy"]}` + "\n", fields: []string{"/tags"}},

	{name: "text: append", file: "f.md", before: "# Plan\n", script: `echo '- one' >> $F; echo '- two' >> $F`,
		want: "# Plan\n- one\n- two\n", fields: []string{"/content", "/content"}},
	{name: "text: sed", file: "f.md", before: "# Plan\n", script: `sed -i s/Plan/Plans/ $F`, want: "# Plans\n", fields: []string{"/content"}},
	{name: "text: tee -a", file: "f.txt", before: "a\n", script: `echo b | tee -a $F > /dev/null`, want: "a\nb\n", fields: []string{"/content"}},
	{name: "text: truncate", file: "f.txt", before: "abc\ndef\n", script: `truncate -s 4 $F`, want: "abc\n", fields: []string{"/content"}},
	{name: "text: cp over", file: "f.md", before: "a\n", script: `printf 'a\nb\n' > .n; cp .n $F; rm .n`, want: "a\nb\n", fields: []string{"/content"}},

	{name: "vim -es", need: []string{"vim"}, script: `vim -es -u NONE -i NONE -c '%s/false/true/ | wq' $F`},
	{name: "vim -es with a backup", need: []string{"vim"}, script: `vim -es -u DEFAULTS -i NONE -c 'set backup' -c '%s/false/true/ | wq' $F`, leaves: "f.json~"},
	{name: "vim -es backupcopy=yes", need: []string{"vim"}, script: `vim -es -u NONE -i NONE -c 'set writebackup backupcopy=yes' -c '%s/false/true/ | wq' $F`},
	{name: "vim -es backupcopy=no", need: []string{"vim"}, script: `vim -es -u NONE -i NONE -c 'set writebackup backupcopy=no' -c '%s/false/true/ | wq' $F`},
	{name: "vim -es nowritebackup", need: []string{"vim"}, script: `vim -es -u NONE -i NONE -c 'set nowritebackup' -c '%s/false/true/ | wq' $F`},
	{name: "vim -es, two saves", need: []string{"vim"}, script: `vim -es -u NONE -i NONE -c 'set writebackup' -c '%s/false/true/ | w' -c '%s/: 1/: 2/ | wq' $F`,
		want: strings.Replace(done, ": 1", ": 2", 1), fields: two},
	{name: "nvim -es", need: []string{"nvim"}, script: `nvim -es -u NONE -i NONE -c '%s/false/true/ | wq' $F`},
	{name: "emacs --batch", need: []string{"emacs"}, script: `emacs -Q --batch $F --eval '(progn (search-forward "false") (replace-match "true") (save-buffer))' 2>/dev/null`, leaves: "f.json~"},
	{name: "emacs --batch, two saves", need: []string{"emacs"}, script: `emacs -Q --batch $F --eval '(progn (search-forward "false") (replace-match "true") (save-buffer)
		(search-forward ": 1") (replace-match ": 2") (save-buffer))' 2>/dev/null`, want: strings.Replace(done, ": 1", ": 2", 1), fields: two, leaves: "f.json~"},
	{name: "emacs --batch by copying", need: []string{"emacs"}, script: `emacs -Q --batch $F --eval '(progn (setq backup-by-copying t)
		(search-forward "false") (replace-match "true") (save-buffer))' 2>/dev/null`, leaves: "f.json~"},
	{name: "emacs --batch precious", need: []string{"emacs"}, script: `emacs -Q --batch $F --eval '(progn (setq file-precious-flag t)
		(search-forward "false") (replace-match "true") (save-buffer))' 2>/dev/null`, leaves: "f.json~"},

	{name: "git", need: []string{"git"}, script: `git init -q . && git add $F && git commit -qm one && git tag one
sed -i s/false/true/ $F; git commit -qam two; git checkout -q one -- $F; git checkout -q HEAD -- $F; git fsck --strict 2>&1; git status --short; git gc -q; rm -rf .git`,
		fields: []string{"/done", "/done", "/done"}},
}

// TestSaves saves with the programs that people use, in all of their ways, and
// checks what became of it: exactly the mutations that were meant, the same
// object, the bytes that were written, and nothing else in the space.
func TestSaves(t *testing.T) {
	t.Parallel()
	v := newVault(t, "ada").in("saves")
	paths := prepare(v, saves)
	for i, s := range saves {
		t.Run(s.name, func(t *testing.T) {
			need(t, s.need...)
			w := v.on(t)
			s.check(w, i, w.sh("cd "+dirOf(i)+"\nexport F="+s.at()+"\n{\n"+s.script+"\n} > /dev/null\n"+lookAt))
		})
	}
	nothingElse(v, paths)
}

// prepare makes a folder with a file for each save, old enough to be there for
// others, and returns their paths.
func prepare(v *vault, saves []save) (paths []string) {
	v.tb.Helper()
	var script strings.Builder
	for i, s := range saves {
		fmt.Fprintf(&script, "mkdir %s\ncat > %s/%s <<'EOT'\n%sEOT\n", dirOf(i), dirOf(i), s.at(), cmp.Or(s.before, milk))
		paths = append(paths, dirOf(i)+"/"+s.at())
	}
	v.sh(script.String())
	v.run("wait", v.space)
	return paths
}

// nothingElse checks that a space holds the files and folders of the saves, and
// no draft.
func nothingElse(v *vault, paths []string) {
	v.tb.Helper()
	var got []string
	v.json(&got, "query", v.space, "--paths")
	slices.Sort(got)
	slices.Sort(paths)
	if !slices.Equal(got, paths) {
		v.tb.Errorf("query: got %q, want %q", got, paths)
	}
	if st := v.status(); st.Drafts != 0 || st.Conflicts != 0 || st.Quarantined != 0 {
		v.tb.Errorf("status: got %+v, want no draft and no conflict", st)
	}
	v.fsck()
}

func dirOf(i int) string { return fmt.Sprintf("s%02d", i) }

// lookAt prints what there is to know of $F, one thing a section.
const lookAt = `cat $F; printf '\001'; "$ECHOFS" stat --json $F; printf '\001'; "$ECHOFS" log --json $F; printf '\001'; ls -A`

// check looks at what lookAt has printed after a save.
func (s save) check(v *vault, i int, seen string) {
	v.tb.Helper()
	part := strings.Split(seen, "\x01")
	if len(part) != 4 {
		v.tb.Fatalf("what there is to know of %s: %q", s.at(), seen)
	}
	if want := cmp.Or(s.want, done); part[0] != want {
		v.tb.Errorf("content: got %q, want %q", part[0], want)
	}
	var st stat
	var revs []revision
	if err := errors.Join(json.Unmarshal([]byte(part[1]), &st), json.Unmarshal([]byte(part[2]), &revs)); err != nil {
		v.tb.Fatal(err)
	}
	if st.Error != "" || st.Kind == "local" {
		v.tb.Errorf("stat: got kind %s, error %q", st.Kind, st.Error)
	}
	// The history of another object would begin with what was saved last.
	want := s.fields
	if want == nil {
		want = []string{"/done"}
	}
	if got := fieldsOf(revs); !slices.Equal(got, want) {
		v.tb.Errorf("mutations: got those of %q, want %q", got, want)
	}
	files := append(strings.Fields(s.leaves), s.at())
	slices.Sort(files)
	if got := strings.Fields(part[3]); !slices.Equal(got, files) {
		v.tb.Errorf("files: got %q, want %q", got, files)
	}
}

// at is the name of the file.
func (s save) at() string { return cmp.Or(s.file, "f.json") }

// fieldsOf returns the fields of all mutations but the first, oldest first.
func fieldsOf(revs []revision) []string {
	fields := []string{}
	for i := len(revs) - 2; i >= 0; i-- {
		fields = append(fields, strings.Join(revs[i].Fields, " "))
	}
	return fields
}
