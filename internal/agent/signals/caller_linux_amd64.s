#include "textflag.h"

// The first instructions of the program. They ask the kernel for each signal whether it is
// ignored (rt_sigaction, 64 times 50 ns), and go on with what the runtime of Go has under this
// name. The runtime puts a handler of its own in place of most signals before any code of Go
// runs, and a child then has the default instead of what the caller of the program wanted.
//
// This is the program's entry because of DUPOK: of two definitions of which one has it the linker
// takes that one if it comes first, and the larger one if it comes second.
TEXT _rt0_amd64_linux(SB),NOSPLIT|DUPOK|NOFRAME,$0
	SUBQ	$64, SP
	XORL	R12, R12
	MOVQ	$1, R13
next:
	MOVQ	R13, DI
	XORL	SI, SI
	MOVQ	SP, DX
	MOVQ	$8, R10
	MOVQ	$13, AX
	SYSCALL
	TESTQ	AX, AX
	JNE	skip
	CMPQ	0(SP), $1
	JNE	skip
	LEAQ	-1(R13), CX
	MOVQ	$1, AX
	SHLQ	CX, AX
	ORQ	AX, R12
skip:
	INCQ	R13
	CMPQ	R13, $64
	JLE	next
	MOVQ	R12, ·ignoredByCaller(SB)
	ADDQ	$64, SP
	JMP	_rt0_amd64(SB)
