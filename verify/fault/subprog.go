package fault

import "fmt"

// This file defines the faults of global functions, callbacks and exceptions.

// SignatureReason says why a function's prototype can't be judged.
type SignatureReason uint8

const (
	SignatureReturn   SignatureReason = iota // returns no number
	SignatureArgs                            // more than five arguments
	SignatureUnsized                         // points to memory of unknown size
	SignatureType                            // an argument of a type that is neither number nor pointer
	SignatureTag                             // tags that contradict each other or the type
	SignatureCtx                             // tagged as context, but of another type
	SignatureUnknown                         // no prototype
	SignatureNoStruct                        // trusted or untrusted pointer to a type that the target's kernel lacks
)

var signatureText = [...]string{
	SignatureReturn:   "it must return a number: only functions that do are verified on their own",
	SignatureArgs:     "it has more than five arguments",
	SignatureUnsized:  "it points to something whose size is not known: point to a complete type, or make the function static",
	SignatureType:     "it must be a number or a pointer",
	SignatureTag:      "its tags do not go with each other or with its type",
	SignatureCtx:      "it is tagged as the context, but its type is not the context of this type of program",
	SignatureUnknown:  "its prototype is not known: compile with -g",
	SignatureNoStruct: "the kernel of the target has no such type",
}

// BadSignature is a global function that can't be verified by its prototype.
type BadSignature struct {
	mark
	Func   string
	Arg    int // from 1; 0: the function itself
	Type   string
	Reason SignatureReason
}

func (BadSignature) Code() string { return "bad-signature" }
func (f BadSignature) String() string {
	if f.Arg == 0 {
		return fmt.Sprintf("global function %s can't be verified on its own: %s", f.Func, signatureText[f.Reason])
	}
	return fmt.Sprintf("argument %d of global function %s, %s: %s", f.Arg, f.Func, article(f.Type), signatureText[f.Reason])
}

// GlobalArgument is an argument that does not fit the prototype of the global function that is called.
type GlobalArgument struct {
	mark
	Func string
	Arg  int // from 1; 0: the prototype itself is wrong
	Why  Fault
}

func (GlobalArgument) Code() string { return "global-argument" }
func (f GlobalArgument) String() string {
	if f.Why == nil {
		return fmt.Sprintf("call of global function %s does not fit its prototype", f.Func)
	}
	return fmt.Sprintf("call of global function %s does not fit its prototype: %s", f.Func, f.Why)
}

// GlobalReturn is a global function whose result is no number.
type GlobalReturn struct {
	mark
	Func string
	Kind string
}

func (GlobalReturn) Code() string { return "global-return" }
func (f GlobalReturn) String() string {
	return fmt.Sprintf("global function %s returns %s: it must return a number", f.Func, article(f.Kind))
}

// GlobalCallback is a global function that is used as a callback.
type GlobalCallback struct {
	mark
	Func string
}

func (GlobalCallback) Code() string { return "global-callback" }
func (f GlobalCallback) String() string {
	return fmt.Sprintf("function %s is used as a callback and must be static", f.Func)
}

// TailCallStack is a function with a tail call whose callers use too much stack.
type TailCallStack struct {
	mark
	Func       string
	Depth, Max int
}

func (TailCallStack) Code() string { return "tail-call-stack" }
func (f TailCallStack) String() string {
	return fmt.Sprintf("function %s makes a tail call below functions that use %d bytes of stack: they must use less than %d, as tail calls add up", f.Func, f.Depth, f.Max)
}

// CallbackThrows is an exception that is thrown below a callback.
type CallbackThrows struct {
	mark
	Func string
}

func (CallbackThrows) Code() string { return "callback-throws" }
func (f CallbackThrows) String() string {
	return fmt.Sprintf("function %s throws an exception and runs as, or below, a callback: exceptions can't pass through callbacks", f.Func)
}

// ExceptionReason says what is wrong with an exception callback.
type ExceptionReason uint8

const (
	ExceptionArgs    ExceptionReason = iota // takes other than one number
	ExceptionCalled                         // is called like other functions
	ExceptionTwice                          // is not the only one
	ExceptionMissing                        // is not in the object
	ExceptionTail                           // makes a tail call
	ExceptionStatic                         // is not global
	ExceptionReturn                         // returns no number
)

var exceptionText = [...]string{
	ExceptionArgs:    "must take one number, and nothing else",
	ExceptionCalled:  "can't be called by the program itself",
	ExceptionTwice:   "is one of several: a program can have only one",
	ExceptionMissing: "is not in the object",
	ExceptionTail:    "can't make tail calls",
	ExceptionStatic:  "must be global, as it is verified on its own",
	ExceptionReturn:  "must return a number, which the program then returns",
}

// BadException is an exception callback that can't be one.
type BadException struct {
	mark
	Func   string
	Reason ExceptionReason
}

func (BadException) Code() string { return "bad-exception-callback" }
func (f BadException) String() string {
	return fmt.Sprintf("exception callback %s %s", f.Func, exceptionText[f.Reason])
}

// CallbackTailCall is a tail call in a callback.
type CallbackTailCall struct {
	mark
	Func string
}

func (CallbackTailCall) Code() string { return "callback-tail-call" }
func (f CallbackTailCall) String() string {
	return fmt.Sprintf("function %s is a callback and makes a tail call: what the other program returns would go to the helper that calls back", f.Func)
}
