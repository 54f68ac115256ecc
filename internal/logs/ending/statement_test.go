package ending

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// The line that states the error in outputs that no recording has: on stderr, or on stdout after "1> ".
func TestErrorLine(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		strength         Strength
	}{
		{"nothing", "", "", 0},
		{"output only", "1> hi", "", 0},
		{"output that counts no errors", "1> done: 12 files, 0 errors\n1> train error: 0.0123\n1> error_rate=0.2", "", 0},
		{"binary output", "\x89PNG\r\x1a\xff\xd8\xfe\x00\x10\x9c\xf3\xa4", "", 0},
		{"an error among binary output", "gzip: x: No space left on device\n\xff\xd8\xfe\x00\x10\x9c\xf3\xa4", "gzip: x: No space left on device", Stated},
		{"a logger that reports what was retried", "2026-11-28 12:00:00 ERROR the lease is gone\n2026-11-28 12:00:01 INFO tried again after error: timeout\n[WARN] error while closing", "2026-11-28 12:00:00 ERROR the lease is gone", Stated},
		{"a warning is all there is", "[WARN] error while connecting: refused", "[WARN] error while connecting: refused", Likely},
		{"an error about information", "ERROR no info about the lease", "ERROR no info about the lease", Stated},
		{"a call that failed", "call failed: the queue is closed", "call failed: the queue is closed", Likely},
		{"a word on stderr", "hi", "hi", Guessed},
		{"warnings only", "WARNING: the cache is cold\nx.py:3: DeprecationWarning: old\n  import old", "", 0},
		{"hints after it", "fatal: no such branch\nhint: run git branch\nhint: and look", "fatal: no such branch", Stated},
		{"warnings after it", "cannot open the door\nwarning: 3 windows are open\n[WARN] cold", "cannot open the door", Likely},
		{"an error of stdout beside words of stderr", "1> ERROR: the table is locked\nloading", "ERROR: the table is locked", Stated},
		{"an error of stderr beside one of stdout", "oops: error: no disk\n1> ERROR: retried", "oops: error: no disk", Stated},
		{"make on stderr, the error on stdout", "1> test 7 failed: want 1, got 2\nmake: *** [Makefile:2: test] Error 1", "test 7 failed: want 1, got 2", Likely},
		{"make alone", "make: *** [Makefile:2: test] Error 3", "make: *** [Makefile:2: test] Error 3", consequence},
		{"a logger", `1> {"level":"info","msg":"begin"}` + "\n" + `1> {"level":"error","msg":"cannot reach the queue"}` + "\n" + `1> {"level":"info","msg":"end"}`, `{"level":"error","msg":"cannot reach the queue"}`, Stated},
		{"glog", "I1128 10:00:00.1 1 a.go:1] begin\nE1128 10:00:01.1 1 a.go:9] no leader\nI1128 10:00:01.2 1 a.go:2] end", "E1128 10:00:01.1 1 a.go:9] no leader", Stated},
		{"a handled traceback long before", "Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: try 1\n" + strings.Repeat("tried again\n", 150) + "fatal: the license has expired", "fatal: the license has expired", Stated},
		{"a traceback before many lines, and no other error", "Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: disk 7\n1> " + strings.Repeat("row\n1> ", 300), "OSError: disk 7", Traced},
		{"a traceback behind a bar", " 40%|####      | 4/10 [00:01<00:01,  4.00it/s]Traceback (most recent call last):\n  File \"a.py\", line 1\n    f()\nKeyError: 'x'", "KeyError: 'x'", Traced},
		{"a message of several lines", "Traceback (most recent call last):\n  File \"a.py\", line 1\n    f()\nsqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection refused\n\tIs the server running?\n\n(Background on this error at: https://example.org/e)", "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection refused", Traced},
		{"a message that begins on the next line", "Traceback (most recent call last):\n  File \"a.py\", line 1\nValueError:\nno rows", "no rows", Traced},
		{"three causes of Python", chain("OSError: a", "direct cause of the following", "ValueError: b", "direct cause of the following", "RuntimeError: c"), "OSError: a", Traced},
		{"a cause of what was raised in a handler", chain("KeyError: a", "handling", "OSError: b", "direct cause of the following", "RuntimeError: c"), "OSError: b", Traced},
		{"an exception while the interpreter ends", "Traceback (most recent call last):\n  File \"a.py\", line 1\nOSError: a\nException ignored in: <function f at 0x1>\nTraceback (most recent call last):\n  File \"b.py\", line 1\nBrokenPipeError: [Errno 32] Broken pipe", "OSError: a", Traced},
		{"suppressed in Java", "java.lang.RuntimeException: a\n\tat A.main(A.java:1)\n\tSuppressed: java.io.IOException: close\n\t\tat A.close(A.java:2)\n\tCaused by: java.lang.Error: deep\n\t\tat A.x(A.java:3)\nCaused by: java.io.IOException: b\n\tat A.b(A.java:4)\n\t... 1 more", "Caused by: java.io.IOException: b", Traced},
		{"a logger's trace of Java", "2026-11-28 ERROR Main - failed\njava.lang.IllegalStateException: the pool is closed\n    at a.B.c(B.java:1)\n    at a.B.d(B.java:2)", "java.lang.IllegalStateException: the pool is closed", Traced},
		{".NET", "Unhandled exception. System.InvalidOperationException: outer\n ---> System.IO.FileNotFoundException: inner\n   at P.Inner() in /src/P.cs:line 3\n   --- End of inner exception stack trace ---\n   at P.Main()", "---> System.IO.FileNotFoundException: inner", Traced},
		{"causes of causes in Node", "/a.js:1\nthrow e\n^\n\nError: outer\n    at a (/a.js:1:1) {\n  code: 1,\n  [cause]: Error: middle\n      at b (/a.js:2:2) {\n    [cause]: Error: deep\n        at c (/a.js:3:3)\n  }\n}\n\nNode.js v20", "[cause]: Error: deep", Traced},
		{"errors in one of Node", "AggregateError [ECONNREFUSED]: \n    at a (node:net:1:1) {\n  code: 'ECONNREFUSED',\n  [errors]: [\n    Error: connect ECONNREFUSED ::1:5432\n        at b (node:net:2:2) {\n      errno: -111\n    },\n    Error: connect ECONNREFUSED 127.0.0.1:5432\n        at b (node:net:2:2)\n  ]\n}", "Error: connect ECONNREFUSED ::1:5432", Traced},
		{"a warning of Node with frames", "Error: no key\n    at a (/a.js:1:1)\n(node:7) DeprecationWarning: old\n    at b (/b.js:1:1)", "Error: no key", Traced},
		{"memory of Node", "<--- Last few GCs --->\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace -----\n 1: 0xb85bc0 node::Abort() [node]\nAborted (core dumped)", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", Stated},
		{"a second panic of Go", "panic: first [recovered]\n\tpanic: second\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\nexit status 2", "panic: first [recovered]", Traced},
		{"a deadlock of Go", "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/a.go:1 +0x1\nexit status 2", "fatal error: all goroutines are asleep - deadlock!", Traced},
		{"an older panic of Rust", "thread 'main' panicked at 'no key', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`", "thread 'main' panicked at 'no key', src/main.rs:2:5", Traced},
		{"a thread of Rust", "thread 'a' panicked at src/main.rs:2:5:\nno key\nthread 'main' panicked at src/main.rs:9:5:\ncalled `Result::unwrap()` on an `Err` value: Any { .. }", "no key", Traced},
		{"causes in Rust", "Error: cannot load\n\nCaused by:\n    0: cannot read prices.csv\n    1: No such file or directory (os error 2)", "1: No such file or directory (os error 2)", Traced},
		{"one cause in Rust", "Error: cannot load\n\nCaused by:\n    no such table\n\nStack backtrace:\n   0: main", "no such table", Traced},
		{"an error of Rust's main", "Error: Os { code: 2, kind: NotFound, message: \"No such file or directory\" }", "Error: Os { code: 2, kind: NotFound, message: \"No such file or directory\" }", Stated},
		{"Gradle", "FAILURE: Build failed with an exception.\n\n* What went wrong:\nExecution failed for task ':compileJava'.\n> Compilation failed; see the compiler error output for details.\n\n* Try:\n> Run with --stacktrace option\n\nBUILD FAILED in 1s", "Compilation failed; see the compiler error output for details.", Stated},
		{"a compiler under Gradle", "/src/App.java:5: error: cannot find symbol\n        foo();\n        ^\n1 error\n\nFAILURE: Build failed with an exception.\n\n* What went wrong:\nExecution failed for task ':compileJava'.\n> Compilation failed; see the compiler error output for details.\n\n* Try:\n> Run with --info option\n\nBUILD FAILED in 1s", "/src/App.java:5: error: cannot find symbol", Stated},
		{"Kotlin under Gradle", "e: file:///src/A.kt:3:5 Unresolved reference: foo\n\nFAILURE: Build failed with an exception.\n\n* What went wrong:\nExecution failed for task ':compileKotlin'.\n> A failure occurred while executing org.jetbrains.kotlin.compilerRunner.Action\n   > Compilation error. See log for more details\n\n* Try:\n> Run with --info option", "e: file:///src/A.kt:3:5 Unresolved reference: foo", Stated},
		{"a test under Gradle", "1> > Task :test FAILED\n1> \n1> AppTest > adds() FAILED\n1>     org.opentest4j.AssertionFailedError at AppTest.java:12\n1> \n1> 3 tests completed, 1 failed\nFAILURE: Build failed with an exception.\n\n* What went wrong:\nExecution failed for task ':test'.\n> There were failing tests. See the report at: file:///src/index.html\n\n* Try:\n> Run with --scan", "org.opentest4j.AssertionFailedError at AppTest.java:12", Stated},
		{"a test of .NET", "1>   Failed Tests.UnitTest1.Test1 [5 ms]\n1>   Error Message:\n1>    Assert.Equal() Failure: Values differ\n1> Expected: 1\n1> Actual:   2\n1>   Stack Trace:\n1>      at Tests.UnitTest1.Test1() in /src/UnitTest1.cs:line 9\n1>    at System.RuntimeMethodHandle.InvokeMethod(Object target)\n1> \n1> Failed!  - Failed:     1, Passed:     2, Skipped:     0, Total:     3", "Assert.Equal() Failure: Values differ", Traced},
		{"a method of Julia", "ERROR: LoadError: MethodError: no method matching +(::Int64, ::String)\nThe function `+` exists, but no method is defined for this combination of argument types.\n\nClosest candidates are:\n  +(::Real, !Matched::Complex{Bool})\n   @ Base complex.jl:320\n\nStacktrace:\n [1] f(x::Int64)\n   @ Main /x/a.jl:2\nin expression starting at /x/a.jl:5", "ERROR: LoadError: MethodError: no method matching +(::Int64, ::String)", Traced},
		{"a cause in Julia", "ERROR: LoadError: the table cannot be read\nStacktrace:\n [1] f()\n   @ Main /x/a.jl:6\n\ncaused by: SystemError: opening file \"x.csv\": No such file or directory\nStacktrace:\n [1] f()\n   @ Main /x/a.jl:4\nin expression starting at /x/a.jl:9", "caused by: SystemError: opening file \"x.csv\": No such file or directory", Traced},
		{"curl with its table", "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0curl: (6) Could not resolve host: box.example", "curl: (6) Could not resolve host: box.example", Stated},
		{"curl that has received something", "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n\r 12 9.9M   12 1233k    0     0   246k      0  0:00:40  0:00:05  0:00:35  247kcurl: (28) Operation timed out after 5001 milliseconds", "curl: (28) Operation timed out after 5001 milliseconds", Stated},
		{"pv before a broken command", "\r1.00MiB 0:00:01 [1.00MiB/s] [==>        ] 10% ETA 0:00:09\r2.00MiB 0:00:02 [1.00MiB/s] [=====>     ] 20% ETA 0:00:08gzip: stdout: No space left on device", "gzip: stdout: No space left on device", Stated},
		{"scp", "\ra.tar    10%  100MB  99.0MB/s   00:09 ETA\ra.tar    20%  200MB  99.0MB/s   00:08 ETAscp: write remote \"/backup/a.tar\": No space left on device", "scp: write remote \"/backup/a.tar\": No space left on device", Stated},
		{"Ray", "Traceback (most recent call last):\n  File \"/x/a.py\", line 9, in <module>\n    ray.get(f.remote())\nray.exceptions.RayTaskError(ValueError): ray::f() (pid=42, ip=10.0.0.1)\n  File \"/x/a.py\", line 6, in f\n    raise ValueError(\"the part is empty\")\nValueError: the part is empty", "ValueError: the part is empty", Traced},
		{"torchrun", "[rank0]: Traceback (most recent call last):\n[rank0]:   File \"/x/train.py\", line 21, in main\n[rank0]:     raise ValueError(\"the batch is empty\")\n[rank0]: ValueError: the batch is empty\nE1129 10:00:00.123000 139 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 0 (pid: 42) of binary: /usr/bin/python3\nTraceback (most recent call last):\n  File \"/usr/local/bin/torchrun\", line 8, in <module>\n    sys.exit(main())\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n============================================================\ntrain.py FAILED\n------------------------------------------------------------\nFailures:\n  <NO_OTHER_FAILURES>\n------------------------------------------------------------\nRoot Cause (first observed failure):\n[0]:\n  rank      : 0 (local_rank: 0)\n  exitcode  : 1 (pid: 42)\n============================================================", "[rank0]: ValueError: the batch is empty", Traced},
		{"Snakemake", "rule sort:\n    output: sorted.csv\n\nsort: cannot read: orders.csv: No such file or directory\n[Sun Nov 29 10:00:00 2026]\nError in rule sort:\n    jobid: 0\n    shell:\n        sort orders.csv > sorted.csv\n        (one of the commands exited with non-zero exit code; note that snakemake uses bash strict mode!)\n\nShutting down, this might take some time.\nExiting because a job execution failed. Look above for error message\nWorkflowError:\nAt least one job did not complete successfully.", "sort: cannot read: orders.csv: No such file or directory", Stated},
		{"Nextflow", "1> ERROR ~ Error executing process > 'sort (1)'\n1> \n1> Caused by:\n1>   Process `sort (1)` terminated with an error exit status (127)\n1> \n1> Command executed:\n1> \n1>   sorted\n1> \n1> Command exit status:\n1>   127\n1> \n1> Command output:\n1>   (empty)\n1> \n1> Command error:\n1>   .command.sh: line 2: sorted: command not found\n1> \n1> Work dir:\n1>   /x/work\n1> \n1> Tip: you can replicate the issue by changing to the process work dir", ".command.sh: line 2: sorted: command not found", Stated},
		{"dbt", "1> 10:00:02  Completed with 1 error and 0 warnings:\n1> 10:00:02  \n1> 10:00:02    Database Error in model orders (models/orders.sql)\n1>   relation \"raw.orders\" does not exist\n1>   LINE 8: from raw.orders\n1>                ^\n1>   compiled code at target/run/orders.sql\n1> 10:00:02  \n1> 10:00:02  Done. PASS=0 WARN=0 ERROR=1 SKIP=1 TOTAL=2", "relation \"raw.orders\" does not exist", Traced},
		{"ESLint", "1> /src/a.js\n1>   3:5   error    'foo' is not defined        no-undef\n1>   9:1   warning  Unexpected console statement  no-console\n1> \n1> ✖ 2 problems (1 error, 1 warning)", "3:5   error    'foo' is not defined        no-undef", Stated},
		{"sbt", "1> [error] /src/A.scala:3:5: not found: value foo\n1> [error]     foo()\n1> [error]     ^\n1> [error] one error found\n1> [error] (Compile / compileIncremental) Compilation failed\n1> [error] Total time: 2 s, completed Nov 29, 2026", "[error] /src/A.scala:3:5: not found: value foo", Stated},
		{"LaTeX", "1> ! Undefined control sequence.\n1> l.3 \\foo\n1> ? \n1> ! Emergency stop.\n1> l.3 \\foo\n1> !  ==> Fatal error occurred, no output PDF file produced!\n1> Transcript written on a.log.", "! Undefined control sequence.", Stated},
		{"MATLAB", "Error using vertcat\nIndex exceeds the number of array elements. Index must not exceed 3.\n\nError in report (line 12)\n    y = x(4);", "Index exceeds the number of array elements. Index must not exceed 3.", Traced},
		{"Octave", "error: 'x' undefined\nerror: called from\n    f at line 2 column 3", "error: 'x' undefined", Stated},
		{"SAS", "1> ERROR: File WORK.ORDERS.DATA does not exist.\n1> NOTE: The SAS System stopped processing this step because of errors.\n1> ERROR: Errors printed on page 1.", "ERROR: File WORK.ORDERS.DATA does not exist.", Stated},
		{"Fortran", "At line 4 of file y.f90 (unit = 10)\nFortran runtime error: Cannot open file '/x': No such file or directory\n\nError termination. Backtrace:\n#0  0x7fc31f8218c2 in ???\n#7  0x7fc31f645249 in __libc_start_call_main\n\tat ../sysdeps/nptl/libc_start_call_main.h:58\n#8  0x7fc31f645304 in __libc_start_main_impl\n\tat ../csu/libc-start.c:360\n#10  0xffffffffffffffff in ???", "Fortran runtime error: Cannot open file '/x': No such file or directory", Stated},
		{"Tcl", "no table\n    while executing\n\"error {no table} \"\n    (procedure \"f\" line 1)\n    invoked from within\n\"f\"\n    (file \"a.tcl\" line 1)", "no table", Traced},
		{"Loguru", "2026-11-29 10:00:00.124 | ERROR    | __main__:<module>:9 - An error has been caught in function '<module>'\nTraceback (most recent call last):\n\n> File \"/x/a.py\", line 9, in <module>\n    f()\n    └ <function f at 0x7f>\n\n  File \"/x/a.py\", line 6, in f\n    return d[\"november\"]\n           └ {}\n\nKeyError: 'november'", "KeyError: 'november'", Traced},
		{"a cell of a notebook", "Traceback (most recent call last):\n  File \"/usr/lib/python3/nbclient/client.py\", line 918, in check\n    raise CellExecutionError.from_cell_and_msg(cell, reply)\nnbclient.exceptions.CellExecutionError: An error occurred while executing the following cell:\n------------------\nf()\n------------------\n\n---------------------------------------------------------------------------\nValueError                                Traceback (most recent call last)\nCell In[3], line 1\n----> 1 f()\n\nValueError: the rates are empty", "ValueError: the rates are empty", Stated},
		{"Elixir", "1>   1) test adds (SumTest)\n1>      test/sum_test.exs:4\n1>      Assertion with == failed\n1>      code:  assert 1 == 2\n1>      left:  1\n1>      right: 2\n1>      stacktrace:\n1>        test/sum_test.exs:5: (test)\n1> \n1> Finished in 0.02 seconds\n1> 1 test, 1 failure", "Assertion with == failed", Likely},
		{"Vite", "x Build failed in 50ms\nerror during build:\n[vite]: Rollup failed to resolve import \"nothere\" from \"/x/src/main.js\".\nThis is most likely unintended because it can break your application at runtime.\n    at viteWarn (file:///x/node_modules/vite/dist/node/chunks/dep.js:65000:17)", "[vite]: Rollup failed to resolve import \"nothere\" from \"/x/src/main.js\".", Traced},
		{"webpack", "1> ERROR in ./src/index.js 1:0-21\n1> Module not found: Error: Can't resolve './nothere' in '/x/src'\n1> resolve './nothere' in '/x/src'\n1> \n1> webpack 5.90.0 compiled with 1 error in 120 ms", "Module not found: Error: Can't resolve './nothere' in '/x/src'", Stated},
		{"GoogleTest", "1> [ RUN      ] Sum.Adds\n1> a_test.cc:5: Failure\n1> Expected equality of these values:\n1>   1\n1>   2\n1> \n1> [  FAILED  ] Sum.Adds (0 ms)\n1> [  PASSED  ] 1 test.\n1> [  FAILED  ] 1 test, listed below:\n1> [  FAILED  ] Sum.Adds\n1> \n1>  1 FAILED TEST", "a_test.cc:5: Failure", Stated},
		{"Laravel", "1>    Illuminate\\Database\\QueryException \n1> \n1>   SQLSTATE[HY000] [2002] Connection refused (SQL: select * from `jobs`)\n1> \n1>   at vendor/laravel/framework/src/Illuminate/Database/Connection.php:712\n1>     708▕         // If an exception occurs\n1>   ➜ 712▕             throw new QueryException(", "SQLSTATE[HY000] [2002] Connection refused (SQL: select * from `jobs`)", Traced},
		{"RSpec", "1> Failures:\n1> \n1>   1) Sum adds\n1>      Failure/Error: expect(1).to eq(2)\n1>      \n1>        expected: 2\n1>             got: 1\n1>      # ./a_spec.rb:3:in `block'\n1> \n1> 1 example, 1 failure\n1> \n1> Failed examples:\n1> \n1> rspec ./a_spec.rb:2 # Sum adds", "Failure/Error: expect(1).to eq(2)", Stated},
		{"Spring Boot", "1> 2026-11-29T10:00:01.100Z ERROR 1 --- [main] o.s.b.d.LoggingFailureAnalysisReporter   : \n1> \n1> ***************************\n1> APPLICATION FAILED TO START\n1> ***************************\n1> \n1> Description:\n1> \n1> Web server failed to start. Port 8080 was already in use.\n1> \n1> Action:\n1> \n1> Identify and stop the process that's listening on port 8080.", "Web server failed to start. Port 8080 was already in use.", Traced},
		{"Maven", "1> [ERROR] COMPILATION ERROR : \n1> [INFO] ----\n1> [ERROR] /src/App.java:[3,9] cannot find symbol\n1> [ERROR]   symbol:   variable foo\n1> [INFO] 1 error\n1> [ERROR] Failed to execute goal compile (default-compile) on project app: Compilation failure\n1> [ERROR] -> [Help 1]\n1> [ERROR] For more information about the errors, read", "[ERROR] /src/App.java:[3,9] cannot find symbol", Stated},
		{"unittest", "FAIL: test_a (t.T)\n----------------------------------------------------------------------\nTraceback (most recent call last):\n  File \"t.py\", line 4, in test_a\n    self.assertEqual(1, 2)\nAssertionError: 1 != 2\n\n----------------------------------------------------------------------\nRan 1 test in 0.000s\n\nFAILED (failures=1)", "AssertionError: 1 != 2", Traced},
		{"pytest without room", "1> E       AssertionError: the totals of november differ\n1> =========================== short test summary info ============================\n1> FAILED test_t.py::test_t - AssertionError: the totals of...\n1> ============================== 1 failed in 0.02s ===============================", "E       AssertionError: the totals of november differ", Traced},
		{"rsync over a broken connection", "ssh: connect to host box port 22: Connection refused\nrsync: connection unexpectedly closed (0 bytes received so far) [sender]\nrsync error: unexplained error (code 255) at io.c(231) [sender=3.2.7]", "ssh: connect to host box port 22: Connection refused", Stated},
		{"git over ssh", "git@example.org: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.", "git@example.org: Permission denied (publickey).", Stated},
		{"a step of docker build", "#7 [2/2] RUN cat /x\n#7 0.312 cat: /x: No such file or directory\n#7 ERROR: process \"/bin/sh -c cat /x\" did not complete successfully: exit code: 1", "#7 0.312 cat: /x: No such file or directory", Stated},
		{"Slurm", "srun: Job step aborted: Waiting up to 32 seconds for job step to finish.\nslurmstepd: error: *** JOB 7 ON node1 CANCELLED AT 2026-11-28T04:00:00 DUE TO TIME LIMIT ***\nsrun: error: node1: task 0: Exited with exit code 143", "slurmstepd: error: *** JOB 7 ON node1 CANCELLED AT 2026-11-28T04:00:00 DUE TO TIME LIMIT ***", Stated},
		{"killed in a script", "run.sh: line 3:  4711 Killed                  python3 train.py", "run.sh: line 3:  4711 Killed                  python3 train.py", Stated},
		{"a compiler's first error", "a.c:1:1: error: first\nb.c:2:2: warning: odd\na.c:9:9: error: second\nmake[1]: *** [a.o] Error 1\nmake: *** [all] Error 2", "a.c:1:1: error: first", Stated},
		{"lines with a prefix", "web_1  | begin\nweb_1  | Traceback (most recent call last):\nweb_1  |   File \"a.py\", line 1\nweb_1  |     f()\nweb_1  | ValueError: no rows\nweb_1 exited with code 1", "web_1  | ValueError: no rows", Traced},
		{"go test", "1> --- FAIL: TestTotals (0.00s)\n1>     totals_test.go:9: got 1, want 2\n1> FAIL\n1> FAIL\texample.org/totals\t0.003s\n1> FAIL", "totals_test.go:9: got 1, want 2", Traced},
		{"jest", "FAIL ./sum.test.js\n  ● adds 1 and 2\n\n    expect(received).toBe(expected) // Object.is equality\n\n    Expected: 3\n    Received: 2\n\n      3 | test(\n    > 4 |   expect(sum(1, 2)).toBe(3)\n        |                     ^\n\n      at Object.toBe (sum.test.js:4:21)\n\nTests: 1 failed, 1 total", "expect(received).toBe(expected) // Object.is equality", Traced},
		{"mocha", "  1) adds:\n     AssertionError: expected 2 to equal 3\n      at Context.<anonymous> (a.js:4:21)\n      at process.processImmediate (node:internal/timers:1:1)", "AssertionError: expected 2 to equal 3", Traced},
		{"a command of a cloud", "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied", "An error occurred (AccessDenied) when calling the PutObject operation: Access Denied", Stated},
		{"failed with error", "upload failed with error: the bucket is gone", "upload failed with error: the bucket is gone", Stated},
		{"R", "Error in file(con, \"r\") : \n  cannot open the connection\nCalls: read -> file\nExecution halted", "cannot open the connection", Traced},
		{"CMake", "CMake Error at CMakeLists.txt:3 (find_package):\n  Could not find a package\n\n-- Configuring incomplete, errors occurred!", "Could not find a package", Traced},
		{"a module of perl", "Can't locate Foo.pm in @INC at a.pl line 1.\nBEGIN failed--compilation aborted at a.pl line 1.", "Can't locate Foo.pm in @INC at a.pl line 1.", Stated},
		{"cargo run", "thread 'main' panicked at src/main.rs:2:5:\nno rows\nnote: run with `RUST_BACKTRACE=1`\nerror: process didn't exit successfully: `target/debug/app` (exit status: 101)", "no rows", Traced},
		{"Spark from Python", "Traceback (most recent call last):\n  File \"a.py\", line 1\npy4j.protocol.Py4JJavaError: An error occurred while calling o24.load.\n: java.lang.RuntimeException: outer\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException: no leader\n\tat a.B.d(B.java:2)\n\t... 3 more", "Caused by: java.io.IOException: no leader", Traced},
		{"arguments", "usage: a.py [-h]\na.py: error: unrecognized arguments: --foo", "a.py: error: unrecognized arguments: --foo", Stated},
		{"many errors of a compiler", strings.Repeat("A.java:3: error: cannot find symbol\n    x();\n    ^\n", 40) + "40 errors\nerror: compilation failed", "A.java:3: error: cannot find symbol", Stated},
		{"colours", "\x1b[35mTraceback (most recent call last):\x1b[0m\n  File \x1b[35m\"a.py\"\x1b[0m, line 1\n\x1b[1;35mValueError\x1b[0m: \x1b[35mno rows\x1b[0m", "ValueError: no rows", Traced},
		{"line ends of Windows", "Traceback (most recent call last):\r\n  File \"a.py\", line 1\r\nValueError: no rows\r", "ValueError: no rows", Traced},
		{"a sanitizer", "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\nREAD of size 1 at 0x1 thread T0\n    #0 0x2 in main /src/a.c:2\n\nSUMMARY: AddressSanitizer: heap-use-after-free /src/a.c:2 in main\n==7==ABORTING", "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1", Traced},
		{"cargo test", "1> ---- adds stdout ----\n1> thread 'adds' (7) panicked at src/lib.rs:1:16:\n1> assertion `left == right` failed\n1>   left: 2\n1>  right: 3\n1> stack backtrace:\n1>    0: core::panicking::panic\n1>              at /rustc/library/core/src/panicking.rs:1:5\n1>    7: core::result::Result<(), Error>\n1>              at /rustc/library/core/src/ops.rs:2:5\n1> note: Some details are omitted\n1> failures:\n1>     adds\nerror: test failed, to rerun pass `--lib`", "assertion `left == right` failed", Traced},
		{"a module of Node", "node:internal/modules/cjs/loader:1228\n  throw err;\n  ^\n\nError: Cannot find module 'notthere'\nRequire stack:\n- /src/a.js\n    at Module._resolveFilename (node:internal/modules/cjs/loader:1225:15)\n    at require (node:internal/modules/helpers:177:18) {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: [ '/src/a.js' ]\n}\n\nNode.js v20", "Error: Cannot find module 'notthere'", Traced},
		{"TAP", "1> TAP version 13\n1> ok 1 - begins\n1> not ok 2 - adds\n1>   ---\n1>   error: |-\n1>     Expected values to be equal\n1>   name: 'AssertionError'\n1>   ...\n1> not ok 3 - later # SKIP not written\n1> 1..3\n1> # fail 1", "not ok 2 - adds", Traced},
		{"a line that goes on", "unzip:  cannot find zipfile directory in one of a.zip or\n        a.zip.zip, and cannot find a.zip.ZIP, period.", "unzip:  cannot find zipfile directory in one of a.zip or", Likely},
		{"perl", "Use of uninitialized value at a.pl line 3.\nno rows at a.pl line 9.", "no rows at a.pl line 9.", Stated},
		{"another language", "cp: Aufruf von stat für 'x' nicht möglich", "cp: Aufruf von stat für 'x' nicht möglich", Guessed},
		{"a command that is traced", "+ grep -q error: log.txt", "+ grep -q error: log.txt", Guessed},
		{"a bar in the end", "error: row 7\n\r 10%|#         | 1/10 [00:00<00:00]\r100%|##########| 10/10 [00:00<00:00]", "error: row 7", Stated},
		{"terraform", "╷\n│ Error: Invalid reference\n│ \n│   on main.tf line 3\n╵", "Error: Invalid reference", Stated},
		{"levels of structured logs", `{"level":30,"msg":"begin"}` + "\n" + `{"level":50,"msg":"the bucket is gone"}` + "\n" + `{"level":30,"msg":"the error handler is done","errors":1}`, `{"level":50,"msg":"the bucket is gone"}`, Stated},
		{"a level behind the message", `{"msg":"a lease is gone","@level":"error"}` + "\n" + `{"msg":"an error was ignored","level":"warn"}`, `{"msg":"a lease is gone","@level":"error"}`, Stated},
		{"levels that are cut", "9:26PM INF begin\n9:26PM ERR no lease shard=3\n9:26PM INF bye", "9:26PM ERR no lease shard=3", Stated},
		{"a level in brackets", "INFO[0000] begin\nFATA[0003] no lease                                      shard=3", "FATA[0003] no lease                                      shard=3", Stated},
		{"structured logs without an error", `time="12:00" level=info msg="begin"` + "\n" + `{"severity":"WARNING","message":"cold"}`, "", 0},
		{"times in front", "2026-11-28T10:00:00.1Z Traceback (most recent call last):\n2026-11-28T10:00:00.2Z   File \"a.py\", line 1\n2026-11-28T10:00:00.2Z     raise f(\"error: x\")\n2026-11-28T10:00:00.3Z ValueError: no rows\n2026-11-28T10:00:01.1Z bye", "2026-11-28T10:00:00.3Z ValueError: no rows", Traced},
		{"times in front of Java", "[2026-11-28 10:00:00] Exception in thread \"main\" java.lang.IllegalStateException: a\n[2026-11-28 10:00:00] \tat A.main(A.java:1)\n[2026-11-28 10:00:00] Caused by: java.io.IOException: b\n[2026-11-28 10:00:00] \tat A.b(A.java:2)\n[2026-11-28 10:00:00] \t... 1 more", "[2026-11-28 10:00:00] Caused by: java.io.IOException: b", Traced},
		{"the root cause first", "10:00:00 ERROR Main - failed\njava.io.IOException: b\n\tat A.b(A.java:2) ~[a.jar:1.0]\nWrapped by: java.lang.IllegalStateException: a\n\tat A.main(A.java:1) ~[a.jar:1.0]\n\t... 1 common frames omitted", "java.io.IOException: b", Traced},
		{"a cause of several lines", "java.lang.RuntimeException: a\n\tat A.main(A.java:1)\nCaused by: java.sql.SQLException: deadlock found\nwhen trying to get lock\n\tat A.b(A.java:4)\n\t... 1 more\nCaused by: java.io.IOException: gone\n\tat A.c(A.java:5)", "Caused by: java.io.IOException: gone", Traced},
		{"parts of a test of Go", "1> --- FAIL: TestA (0.00s)\n1>     a_test.go:3: the table is ready\n1>     --- FAIL: TestA/november (0.00s)\n1>         a_test.go:8: 2 rows are read\n1>         a_test.go:9: 2 rows, must be 3\n1>     --- FAIL: TestA/december (0.00s)\n1>         a_test.go:9: 0 rows, must be 3\n1> FAIL", "a_test.go:9: 2 rows, must be 3", Traced},
		{"tests of Go that print all", "1> === RUN   TestA\n1>     a_test.go:3: the table is ready\n1> --- PASS: TestA (0.00s)\n1> === RUN   TestB\n1>     b_test.go:7: no lease\n1> --- FAIL: TestB (0.00s)\n1> FAIL\n1> exit status 1", "b_test.go:7: no lease", Traced},
		{"an assertion below the place", "1> --- FAIL: TestA (0.00s)\n1>     a_test.go:9: \n1>         \tError Trace:\t/src/a_test.go:9\n1>         \tError:      \tNot equal: 1 and 2\n1>         \tTest:       \tTestA\n1> FAIL", "Error:       Not equal: 1 and 2", Traced},
		{"output before a consequence", "1> reading the plan\n1> 2026/11/28 12:00:00 open plan.csv: no lease for shard 3\n1> exit status 1", "2026/11/28 12:00:00 open plan.csv: no lease for shard 3", Guessed},
		{"jobs of make", "b.c: the table has no key\nmake: *** [Makefile:5: b] Error 3\nmake: *** Waiting for unfinished jobs....\nstep 5 of c\nstep 6 of c", "b.c: the table has no key", Guessed},
		{"make in German", "sum.c: die Tabelle hat keinen Namen\nmake: *** [Makefile:5: all] Fehler 3", "sum.c: die Tabelle hat keinen Namen", Guessed},
		{"errors in other languages", "Fehler: kein Platz\nfertig", "Fehler: kein Platz", Stated},
		{"errors in Japanese", "エラー: ファイルがありません\n終了", "エラー: ファイルがありません", Stated},
		{"what a script cleans up", "the volume of the archive is gone\nCleaning up temporary files\nRemoved 3 files\n\nreal\t0m1.003s\nuser\t0m0.001s\nsys\t0m0.002s", "the volume of the archive is gone", Guessed},
		{"what cannot be cleaned up", "loading\nremoving /x failed: Permission denied", "removing /x failed: Permission denied", Stated},
		{"a trap", "mkdir: cannot create directory 'x': No such file or directory\nError on line 4\nbackup.sh: error at line 4:", "mkdir: cannot create directory 'x': No such file or directory", Stated},
		{"what systemd-run measured", "Running as unit: run-u7.service; invocation ID: 1\nthe ledger is closed\n          Finished with result: exit-code\nMain processes terminated with: code=exited/status=3\n               Service runtime: 12ms\n             CPU time consumed: 8ms", "the ledger is closed", Guessed},
		{"a session that ends", "the ledger is closed\nConnection to box closed.", "the ledger is closed", Guessed},
		{"an abort in a script", "a.out: a.c:2: main: Assertion `n==3' failed.\nrun.sh: line 1:  3210 Aborted                 ./a.out", "a.out: a.c:2: main: Assertion `n==3' failed.", Likely},
		{"a crash", "loading\nSegmentation fault (core dumped)", "Segmentation fault (core dumped)", Likely},
		{"a status of HTTP", "1> curl: (22) The requested URL returned error: 404", "curl: (22) The requested URL returned error: 404", Stated},
		{"nothing failed", "1> 12 passed, 0 failed\n1> {\"failures\": 0, \"error\": null}", "", 0},
		{"dash", "a.sh: 2: X: parameter not set", "a.sh: 2: X: parameter not set", Stated},
		{"a transaction that goes on", "ERROR:  column \"x\" does not exist\nHINT:  Perhaps \"y\".\nERROR:  current transaction is aborted, commands ignored until end of transaction block", "ERROR:  column \"x\" does not exist", Stated},
		{"Julia", "ERROR: LoadError: no lease\nStacktrace:\n [1] error(s::String)\n   @ Base ./error.jl:35\n [2] top-level scope\nin expression starting at /a.jl:1", "ERROR: LoadError: no lease", Traced},
		{"eyre", "Error: \n   0: cannot load\n   1: no lease for shard 3\n\nLocation:\n   src/main.rs:3", "1: no lease for shard 3", Traced},
		{"Ansible", "1> fatal: [db1]: FAILED! => {\"changed\": false, \"msg\": \"no lease\"}\n1> \n1> PLAY RECAP *********\n1> db1 : ok=1 changed=0 unreachable=0 failed=1 skipped=0", "fatal: [db1]: FAILED! => {\"changed\": false, \"msg\": \"no lease\"}", Stated},
		{"apt", "E: Sub-process /usr/bin/dpkg returned an error code (1)\nE: Unable to locate package x", "E: Unable to locate package x", Stated},
		{"MySQL", "ERROR 1146 (42S02) at line 3: Table 'a.b' doesn't exist", "ERROR 1146 (42S02) at line 3: Table 'a.b' doesn't exist", Stated},
		{"a metric of a model", "1> epoch 3: train error: 12, validation error: 0.3, 1 - error: 0\n1> Errors: 0 Warnings: 3", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var lines []Line
			for i, text := range strings.Split(tt.text, "\n") {
				stream := job.Stderr
				if rest, out := strings.CutPrefix(text, "1> "); out {
					stream, text = job.Stdout, rest
				}
				lines = append(lines, linesOf(stream, text, int64(i+1))...)
			}
			got, strength, ok := ErrorLine(lines)
			if got.Quoted() != tt.want || strength != tt.strength || ok != (tt.want != "") {
				t.Errorf("states %q (%d, %t), want %q (%d)", got.Quoted(), strength, ok, tt.want, tt.strength)
			}
		})
	}
}

// chain joins tracebacks with the text that Python prints between them.
func chain(parts ...string) string {
	var b strings.Builder
	for i, part := range parts {
		switch {
		case i%2 == 0:
			b.WriteString("Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    raise X\n" + part + "\n")
		case part == "handling":
			b.WriteString("\nDuring handling of the above exception, another exception occurred:\n\n")
		default:
			b.WriteString("\nThe above exception was the " + part + " exception:\n\n")
		}
	}
	return b.String()
}

func TestScreen(t *testing.T) {
	wide := func(s string, big bool) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			if big {
				u = u<<8 | u>>8
			}
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	for in, want := range map[string]string{
		"plain":                          "plain",
		"\tat x":                         "\tat x",
		"10%\r50%\rValueError: a":        "ValueError: a",
		"ValueError: a\r":                "ValueError: a",
		"100%\r\x1b[K":                   "",
		"\x1b[2K\x1b[1Gadded 3 packages": "added 3 packages",
		"⠙ wait\x1b[1G\x1b[0Kdone":       "done",
		"|\b/\b-\bok":                    "ok",
		"\x1b[1;31merror:\x1b[0m no":     "error: no",
		"\x1b]8;;https://example.org\x1b\\a link\x1b]8;;\x1b\\": "a link",
		"\x1b]0;title\aend":                   "end",
		"\x1b(B\x1b[m" + "end":                "end",
		"half\x1b[3":                          "half",
		"half\x1b":                            "half",
		"\x1b[-1Dx":                           "x",
		"ab\x1b[-9Dc":                         "ac",
		"ab\x1b[1;2Dc":                        "ac",
		"ab\x1b[99999999999999999999Dc":       "c",
		"\x1bé":                               "é",
		"\x1b[31é":                            "é",
		"a\x00b\x07c\u009dd":                  "abcd",
		"caf\xe9":                             "caf\uFFFD",
		"\u202etxt.exe\u200b":                 "txt.exe",
		wide("Fehler: Straße fehlt\r", false): "Fehler: Straße fehlt",
		"\xff\xfe" + wide("错误", false):        "错误",
		"\xfe\xff" + wide("error 7", true):    "error 7",
		"\x00" + wide("error 7’", false):      "error 7’",
		wide("error 7", true):                 "error 7",
	} {
		if got := Screen([]byte(in)); got != want {
			t.Errorf("%q shows %q, want %q", in, got, want)
		}
	}
}

// For any output, the quoted text is UTF-8 of at most 300 characters without control
// characters, and the error is one of the lines.
func TestWhatIsQuotedIsHarmless(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOfN(rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 0, 40),
			rapid.SampledFrom([][]byte{
				[]byte("Traceback (most recent call last):"), []byte("  at x"), []byte("Caused by: "), []byte("\x1b["), []byte("\r"), []byte("\n"),
				[]byte("error: "), []byte("panic: "), []byte("goroutine 1 [x]:"), []byte("E   x"), []byte("npm ERR! "), []byte("{\n"), []byte("  [errors]: [\n"),
				[]byte(strings.Repeat("ü", 200)), []byte("ExceptionGroup: (2 sub-exceptions)\n+-+-\n"), []byte("caused by:\n"), []byte("\xff\xfe"),
			}),
		), 0, 60).Draw(t, "pieces")
		var text strings.Builder
		for _, p := range pieces {
			text.Write(p)
		}
		got, _, ok := ErrorLine(linesOf(job.Stderr, text.String(), 1))
		if !ok {
			return
		}
		quoted := got.Quoted()
		if !utf8.ValidString(quoted) || utf8.RuneCountInString(quoted) > MaxTextLength || strings.ContainsFunc(quoted, unicode.IsControl) {
			t.Errorf("quotes %q", quoted)
		}
		if n := int64(strings.Count(text.String(), "\n")) + 1; got.Number < 1 || got.Number > n {
			t.Errorf("line %d of %d", got.Number, n)
		}
	})
}

// Any output can be read, and the quoted text contains no control characters.
func FuzzErrorLine(f *testing.F) {
	recorded, err := filepath.Glob("testdata/failures/*/std*")
	if err != nil || len(recorded) == 0 {
		f.Fatal(recorded, err)
	}
	for _, path := range recorded {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("10%\r\x1b[-1D\x1b[K\u009b2D\x1b]0;x\x07\x1bPq\x1b\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		shown := Screen(text)
		if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return unicode.IsControl(r) && r != '\t' }) {
			t.Errorf("shows %q", shown)
		}
		line, _, ok := ErrorLine(linesOf(job.Stderr, string(text), 1))
		if quoted := line.Quoted(); ok && (!utf8.ValidString(quoted) || utf8.RuneCountInString(quoted) > MaxTextLength || strings.ContainsFunc(quoted, unicode.IsControl)) {
			t.Errorf("quotes %q", quoted)
		}
	})
}

func TestLongLinesKeepBothEnds(t *testing.T) {
	long := "open the ledger: " + strings.Repeat("wrapped: ", 200) + "no such file or directory"
	got := Line{Text: long}.Quoted()
	if utf8.RuneCountInString(got) != MaxTextLength || !strings.HasPrefix(got, "open the ledger: ") || !strings.HasSuffix(got, "no such file or directory") {
		t.Errorf("quotes %q", got)
	}
}

func BenchmarkErrorLine(b *testing.B) {
	var lines []Line
	for i := range maxLines {
		lines = append(lines,
			Line{Stream: job.Stderr, Number: int64(2 * i), Text: "2026-11-28 12:00:00,123 INFO worker-7 wrote 1200 rows to the table of orders in 12.5 ms"},
			Line{Stream: job.Stdout, Number: int64(2*i + 1), Text: "row 123456 of 200000: price 12.50, amount 3, no remark of the customer, shipped to zone 7"})
	}
	for b.Loop() {
		ErrorLine(lines)
	}
}

func TestStamps(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-28T10:00:00.123456Z   x": "  x", "2026-11-28 10:00:00,1 ERROR": "ERROR", "[2026/11/28 10:00:00] \tat x": "\tat x", "2026-11-28T10:00:00+01:00 x": "x",
		"2026-11-28T10:00:00": "", "2026-11-28": "2026-11-28", "[2026-11-28 10:00:00 x": "[2026-11-28 10:00:00 x", "2026-11-28 10:00:00x": "2026-11-28 10:00:00x",
		"": "", "[": "[", "2026-1a-28 10:00:00 x": "2026-1a-28 10:00:00 x", "10:00:00 x": "10:00:00 x",
	} {
		if got := withoutStamp(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
