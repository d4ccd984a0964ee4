package abi

// Defines how helpers and kfuncs call the functions that they are given
// (bpf-helpers(7)).

// Callback says how a helper calls the function that it is given.
type Callback struct {
	Func int // 1-based argument of the helper with the function
	Args []CallbackArg
	// RetMin and RetMax bound what the function may return.
	RetMin, RetMax int64
	// Async: the function is called later and on its own, not during the call.
	Async bool
	// Sleepable: the function may sleep, whatever the program may.
	Sleepable bool
	// Turns is the 1-based argument that bounds how often it is called; 0: nothing does.
	Turns int
}

// CallbackArg is what a callback finds in an argument.
type CallbackArg struct {
	Kind CallbackArgKind
	From int // CallbackSame: the 1-based argument of the helper
}

// CallbackArgKind is the kind of an argument of a callback.
type CallbackArgKind uint8

const (
	CallbackNumber   CallbackArgKind = iota // any number
	CallbackSame                            // what the helper was given
	CallbackMap                             // the map that the helper was given
	CallbackMapKey                          // a key of that map
	CallbackMapValue                        // a value of that map
	CallbackVMA                             // a vm_area_struct of the kernel
	CallbackDynptr                          // a dynptr that may only be read
)

var (
	callbackLoop = &Callback{Func: 2, Args: []CallbackArg{{Kind: CallbackNumber}, {CallbackSame, 3}}, RetMax: 1, Turns: 1}

	callbackMapElem = &Callback{Func: 2, Args: []CallbackArg{{Kind: CallbackMap}, {Kind: CallbackMapKey}, {Kind: CallbackMapValue}, {CallbackSame, 3}}, RetMax: 1}

	callbackVMA = &Callback{Func: 3, Args: []CallbackArg{{CallbackSame, 1}, {Kind: CallbackVMA}, {CallbackSame, 4}}, RetMax: 1}

	callbackSample = &Callback{Func: 2, Args: []CallbackArg{{Kind: CallbackDynptr}, {CallbackSame, 3}}, RetMax: 1}

	callbackWork = &Callback{Func: 2, Args: []CallbackArg{{Kind: CallbackMap}, {Kind: CallbackMapKey}, {Kind: CallbackMapValue}}, Async: true, Sleepable: true}

	callbackTimer = &Callback{Func: 2, Args: []CallbackArg{{Kind: CallbackMap}, {Kind: CallbackMapKey}, {Kind: CallbackMapValue}}, Async: true}
)
