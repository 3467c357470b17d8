package main

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// testCase is a sequence of steps with a name.
type testCase struct {
	group, title string
	steps        []step
	users        bool // other users take part
}

func (c testCase) name() string { return c.group + "/" + c.title }

// step is one operation.
type step struct {
	line string // as written, for messages
	user int    // who does it, or -1
	op   string
	args []string
	want []string // what may come of it; nil: success, and whatever it prints
}

// loadCases reads all cases there are, in the order of their files.
func loadCases() ([]testCase, error) {
	files, err := caseFiles.ReadDir("cases")
	if err != nil {
		return nil, err
	}
	var all []testCase
	for _, f := range files {
		text, err := caseFiles.ReadFile("cases/" + f.Name())
		if err != nil {
			return nil, err
		}
		cases, err := parseCases(strings.TrimSuffix(f.Name(), path.Ext(f.Name())), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, cases...)
	}
	return all, nil
}

// parseCases reads the cases of one group. Empty lines and those that begin with
// "#" say nothing.
func parseCases(group, text string) (cases []testCase, err error) {
	titles := map[string]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if title, ok := strings.CutPrefix(line, "case "); ok {
			if titles[title] {
				return nil, fmt.Errorf("%s:%d: case %q is there twice", group, number, title)
			}
			titles[title] = true
			cases = append(cases, testCase{group: group, title: title})
			continue
		}
		s, err := parseStep(line)
		if err == nil && len(cases) == 0 {
			err = fmt.Errorf("a step before the first case")
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", group, number, err)
		}
		c := &cases[len(cases)-1]
		c.steps = append(c.steps, s)
		c.users = c.users || s.user >= 0
	}
	return cases, nil
}

func parseStep(line string) (step, error) {
	s := step{line: line, user: -1}
	words, err := splitWords(line)
	if err != nil {
		return s, err
	}
	for i, w := range words {
		if w == "=" {
			if len(words) != i+2 {
				return s, fmt.Errorf("%q: one word must follow =", line)
			}
			s.want = strings.Split(words[i+1], "|")
			words = words[:i]
			break
		}
	}
	if len(words) > 2 && words[0] == "as" {
		if s.user, err = strconv.Atoi(words[1]); err != nil {
			return s, fmt.Errorf("%q: %w", line, err)
		}
		words = words[2:]
	}
	s.op, s.args = words[0], words[1:]
	op, ok := ops[s.op]
	if !ok {
		return s, fmt.Errorf("%q: no such operation", line)
	}
	if n := len(s.args); n < op.least || n > op.most {
		return s, fmt.Errorf("%q: %d arguments", line, n)
	}
	return s, nil
}

var longWord = regexp.MustCompile(`<(\d+)(/?)>`)

// splitWords splits a line at spaces; a word in quotes may have some.
func splitWords(line string) ([]string, error) {
	var words []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] != '"' {
			word, after, _ := strings.Cut(rest, " ")
			words, rest = append(words, longWord.ReplaceAllStringFunc(word, expand)), after
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		words, rest = append(words, word), rest[len(quoted):]
	}
	return words, nil
}

// expand makes the name or the path that <N> or <N/> stands for.
func expand(word string) string {
	m := longWord.FindStringSubmatch(word)
	n, _ := strconv.Atoi(m[1]) // digits, by the expression
	if m[2] == "" {
		return strings.Repeat("n", n)
	}
	return strings.Repeat("./", n/2) + strings.Repeat("n", n%2)
}
