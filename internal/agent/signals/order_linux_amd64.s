#include "textflag.h"

// stintCountSignal is a signal handler. It has the signal's number in DI, and may change the
// registers AX and CX, as every C function. No Go code runs in it, and it is not called from Go.
TEXT stintCountSignal(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$1, AX
	LOCK
	XADDQ	AX, ·handled(SB)
	INCQ	AX
	LEAQ	·handled(SB), CX
	MOVQ	AX, (CX)(DI*8)
	MOVQ	·handlerOfGo(SB), AX
	JMP	AX

// func countingHandler() uintptr
TEXT ·countingHandler(SB),NOSPLIT,$0-8
	LEAQ	stintCountSignal(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
