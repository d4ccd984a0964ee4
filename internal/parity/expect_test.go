package main

import (
	"reflect"
	"testing"
)

func TestReadTags(t *testing.T) {
	for _, c := range []struct {
		tags []string
		want expectation
	}{
		{[]string{"something else"}, expectation{}},
		{[]string{"comment:test_expect_success"}, expectation{Privileged: stated{Verdict: accept}}},
		{
			[]string{"comment:test_expect_failure", "comment:test_expect_msg=10=b", "comment:test_expect_msg=9=a=1"},
			expectation{Privileged: stated{reject, []string{"a=1", "b"}}},
		},
		{ // a message alone makes the unprivileged load part of the test
			[]string{"comment:test_expect_failure", "comment:test_expect_msg=1=x", "comment:test_expect_msg_unpriv=2=y"},
			expectation{Privileged: stated{reject, []string{"x"}}, Unprivileged: stated{reject, []string{"y"}}},
		},
		{
			[]string{"comment:test_expect_success", "comment:test_expect_failure_unpriv", "comment:test_retval=0"},
			expectation{Privileged: stated{Verdict: accept}, Unprivileged: stated{Verdict: reject}},
		},
		{
			[]string{"comment:test_prog_flags=BPF_F_TEST_STATE_FREQ", "comment:test_prog_flags=0x3", "comment:test_prog_flags=!BPF_F_ANY_ALIGNMENT"},
			expectation{Flags: 9},
		},
	} {
		got, err := readTags(c.tags)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %v\n got %+v\nwant %+v", c.tags, err, got, c.want)
		}
	}
	if _, err := readTags([]string{"comment:test_prog_flags=BPF_F_NONSENSE"}); err == nil {
		t.Error("an unknown flag was taken")
	}
}
