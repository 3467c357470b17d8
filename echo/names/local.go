package names

import (
	"strconv"
	"strings"
)

// IsLocal reports whether a name is one of a local file, which stays on this
// machine: it starts with "." or "#", ends with "~", or is in this list of the
// names that programs give to temporary files, backups and locks.
//
//	vim               4913, then 5036, 5159, ... up to four digits
//	vim               *.swp *.swo *.swn *.swx
//	nano, joe         *.save *.save.<digits>; DEADJOE
//	helix             *.bck
//	sed -i            sed + 6 letters or digits
//	perl -i           XX + 6 letters, digits or "_"
//	patch             *.orig *.rej; *.o + 6 letters and digits, not lower case only
//	python            tmp + 8 lower case letters, digits or "_"
//	emacs             tmp + 6 letters and digits, not lower case only
//	mktemp            tmp. + 10 letters or digits
//	mg                *. + 10 letters and digits, upper and lower case
//	Qt, KDE           *. + 6 letters, upper and lower case
//	node and others   *.EXT.<5 or more digits>; *.tmp-<hex>; *.tmp.<hex, dots>
//	JetBrains         *___jb_tmp___ *___jb_old___ *___jb_bak___
//	git               tmp_obj_*
//	SQLite            *.db-journal *.db-wal *.db-shm, and so for .db3 .sqlite .sqlite3
//	browsers          *.part *.crdownload
//	many              *.tmp *.bak *.lock, but see below
//
// Extensions count in either case. What tools for packages keep beside a
// project's files is no lock, whatever it is called: Cargo.lock, yarn.lock and
// their like are not local. Names of rsync, GLib, LibreOffice, kakoune and
// others start with a dot.
func IsLocal(name string) bool {
	if name == "" {
		return false
	}
	if name[0] == '.' || name[0] == '#' || name[len(name)-1] == '~' {
		return true
	}
	return isLocalWord(name) || isLocalExt(name) || isLocalTail(name)
}

// isLocalWord looks at names as a whole.
func isLocalWord(name string) bool {
	if name == "DEADJOE" || strings.HasPrefix(name, "tmp_obj_") || isVimProbe(name) {
		return true
	}
	random := func(prefix string, n int, kind func(byte) bool) bool {
		rest, ok := strings.CutPrefix(name, prefix)
		return ok && len(rest) == n && consistsOf(rest, kind)
	}
	return random("sed", 6, isAlnum) ||
		random("XX", 6, func(c byte) bool { return isAlnum(c) || c == '_' }) ||
		random("tmp.", 10, isAlnum) ||
		random("tmp", 8, func(c byte) bool { return isLower(c) || isDigit(c) || c == '_' }) ||
		random("tmp", 6, isAlnum) && !consistsOf(name, isLower)
}

// isVimProbe reports whether name is one by which vim finds out whether it can
// write to a directory.
func isVimProbe(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && len(name) == 4 && n >= 4913 && (n-4913)%123 == 0
}

// localExts are the extensions of local files.
var localExts = map[string]bool{
	".swp": true, ".swo": true, ".swn": true, ".swx": true,
	".save": true, ".bck": true, ".bak": true, ".orig": true, ".rej": true,
	".tmp": true, ".part": true, ".crdownload": true, ".lock": true,
}

// packageLocks are files that end with .lock and are no locks.
var packageLocks = map[string]bool{
	"bun.lock": true, "Cargo.lock": true, "composer.lock": true, "conan.lock": true,
	"deno.lock": true, "devbox.lock": true, "devenv.lock": true, "flake.lock": true,
	"Gemfile.lock": true, "mix.lock": true, "package.lock": true, "packages.lock": true,
	"paket.lock": true, "pdm.lock": true, "Pipfile.lock": true, "pixi.lock": true,
	"Podfile.lock": true, "poetry.lock": true, "pubspec.lock": true, "uv.lock": true,
	"yarn.lock": true,
}

func isLocalExt(name string) bool {
	_, ext := splitExt(name)
	return localExts[strings.ToLower(ext)] && !packageLocks[name]
}

// isLocalTail looks at what follows the name of the file that is meant.
func isLocalTail(name string) bool {
	for _, tail := range []string{"___jb_tmp___", "___jb_old___", "___jb_bak___"} {
		if strings.HasSuffix(name, tail) {
			return true
		}
	}
	if i := strings.LastIndex(name, ".tmp-"); i > 0 && isRun(name[i+5:], isHex) {
		return true
	}
	if i := strings.LastIndex(name, ".tmp."); i > 0 && isRun(name[i+5:], func(c byte) bool { return isHex(c) || c == '.' }) {
		return true
	}
	if isDatabaseTail(name) {
		return true
	}
	stem, ext := splitExt(name)
	return ext != "" && isRandomExt(stem, ext[1:])
}

// isDatabaseTail reports whether a file belongs to an open database and is of use
// to nobody else.
func isDatabaseTail(name string) bool {
	for _, tail := range []string{"-journal", "-wal", "-shm"} {
		if main, ok := strings.CutSuffix(name, tail); ok {
			_, ext := splitExt(main)
			return databaseExts[strings.ToLower(ext)]
		}
	}
	return false
}

var databaseExts = map[string]bool{".db": true, ".db3": true, ".sqlite": true, ".sqlite3": true}

func isRun(s string, kind func(byte) bool) bool { return s != "" && consistsOf(s, kind) }

// isRandomExt reports whether an extension was added for a temporary file.
func isRandomExt(stem, ext string) bool {
	if consistsOf(ext, isDigit) {
		_, before := splitExt(stem)
		return len(ext) >= 5 && before != "" && !isDigit(before[1]) ||
			strings.EqualFold(before, ".save")
	}
	switch {
	case len(ext) == 6 && !strings.ContainsFunc(ext, func(r rune) bool { return isDigit(byte(r)) }), len(ext) == 10:
		return strings.ContainsFunc(ext, func(r rune) bool { return isUpper(byte(r)) }) &&
			strings.ContainsFunc(ext, func(r rune) bool { return isLower(byte(r)) })
	case len(ext) == 7:
		return ext[0] == 'o' && !consistsOf(ext, isLower)
	}
	return false
}
