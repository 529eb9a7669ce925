#!/bin/sh
# phosphene solve: known optima, variables by name, restrictions, files in and out, and what is wrong with them.
. "$(dirname "$0")/common.sh"
data=$source/tests/solve/data

run 0 solve y:0 -m "$data/himmelblau.onnx" --minimise --bounds -6,6 --top 4 --json
json stdout 16 starts
json stdout 0 failed
[ "$("$json_value" stdout solutions 3 objective | cut -c 1)" != "" ] || fail "four minima are wanted"
run 0 solve y:0 -m "$data/himmelblau.onnx" --minimise --bounds -6,6 --top 4 -o minima.csv --quiet
silent stdout
[ "$(wc -l <minima.csv)" -eq 5 ] || fail "minima.csv has no four rows"
[ "$(head -n 1 minima.csv)" = 'x[0],x[1],objective,y' ] || fail "the header of minima.csv"
run 1 solve y:0 -m "$data/himmelblau.onnx" --minimise --bounds -6,6 -o minima.csv
says stderr "exists already"
run 0 solve y:0 -m "$data/himmelblau.onnx" --minimise --bounds -6,6 --top 2 -o minima.npy
[ "$(head -c 6 minima.npy | od -An -tx1 | tr -d ' \n')" = 934e554d5059 ] || fail "minima.npy is no NumPy file"


# Arrays by name, there and back.
if "$phosphene" solve y:0 -m "$data/two_inputs.onnx" --minimise --fix 'b=2' -o both.npz >stdout 2>stderr; then
    [ "$(head -c 2 both.npz)" = PK ] || fail "both.npz is no ZIP file"
    grep -aq a.npy both.npz && grep -aq y.npy both.npz && grep -aq objective.npy both.npz || fail "arrays of both.npz"
    run 0 solve y:0 -m "$data/two_inputs.onnx" --minimise --start both.npz --fix 'a; b[0:2]' --restarts 1 -o back.csv
    grep -q '^1.5,1.5,1.5,2,2,' back.csv || fail "back.csv: $(tail -n 1 back.csv)"
    run 1 solve y:0 -m "$data/quadratic.onnx" --minimise --start both.npz
    says stderr "no array of an input's name: x"
    head -c 100 both.npz >cut.npz
    run 1 solve y:0 -m "$data/two_inputs.onnx" --start cut.npz
    says stderr "cut.npz: not an archive of NumPy arrays"
    run 2 solve y:0 -m "$data/two_inputs.onnx" --start a=both.npz
else
    says stderr "without libzip"
fi

# Columns of a table give names.
printf 'width, "height, m" ,depth\n1,1,1\n2,2,2\n' >start.csv
run 0 solve y:0 -m "$data/two_inputs.onnx" --minimise --start a=start.csv --fix 'b=2; width=5' --whole depth -o out.csv
says stdout width
[ "$(head -n 1 out.csv)" = 'width,"height, m",depth,b[0],b[1],b[2],objective,y' ] || fail "the header of out.csv"
grep -q '^5,1.5[0-9]*,[12],2,2,2,' out.csv || grep -q '^5,1.4999[0-9]*,[12],2,2,2,' out.csv || fail "out.csv: $(tail -n 1 out.csv)"
run 0 solve y:0 -m "$data/quadratic.onnx" --minimise --constraint '2*x[0] + 2*x[1] = 0' --json
json stdout 0 failed
run 0 solve y:0 -m "$data/monotone.onnx" --bounds 0,1 --target 2 --ball inf:0.5

# Adversarial pictures: of one that phosphene wrote.
run 0 render class:goldfish --size 64 --steps 20 -o fish.png
run 0 solve --image fish.png --preset smallest --toward tabby --json
is_png fish-smallest.png
json stdout true succeeded
json stdout "tabby, tabby cat" after 0 name
run 0 solve --image fish.png --radius 24 -o linf.png
says stdout "after, on 8 bits"
says stdout "of 255)"
run 0 classify linf.png --fit none --expect goldfish
says stdout "0 of 1 right"
run 1 solve --image fish.png -o linf.png
says stderr "exists already"
run 1 solve --image fish.png --preset fgsm --toward tabby --radius 0.6 -o far.png
says stderr "still takes it for"
is_png far.png
run 2 solve --preset fgsm
says stderr "--image PICTURE is missing"
run 2 solve class:tabby --image fish.png
says stderr "there is no OBJECTIVE"
run 2 solve --image fish.png --radius x
says stderr "not a number above 0"
run 2 solve --image fish.png -o fish.csv
says stderr ".png"
run 2 solve
says stderr "OBJECTIVE"

# Mistakes, each named.
mistake() { # CODE TEXT ARGUMENTS...
    wanted_code=$1 wanted_text=$2
    shift 2
    run "$wanted_code" solve y:0 -m "$data/two_inputs.onnx" "$@"
    says stderr "$wanted_text"
}
mistake 2 "there is no variable 'c'" --bounds c=0,1
mistake 2 "a[0:3], b[0:3]" --fix 'a[3]'
mistake 2 "exclude everything" --bounds 3,1
mistake 2 "is not LOW,HIGH" --bounds 3
mistake 2 "is not a number" --bounds a=x,1
mistake 2 "none of <=, >=, =" --constraint 'a[0] < 1'
mistake 2 "neither 2:RADIUS nor inf:RADIUS" --ball 3:1
mistake 2 "exclude each other" --minimise --target 1
mistake 2 "no input 'c'" --start c=start.csv
mistake 2 "none of .npy, .npz and .csv" --start start.txt
mistake 2 "none of .csv, .npy and .npz" -o result.txt
mistake 1 "auto, " --method newton
printf 'p,q,r\n1,2,x\n' >bad.csv
mistake 1 "row 1, column 'r': 'x' is not a finite number" --start bad.csv
printf 'p,q,r\n1,2\n' >bad.csv
mistake 1 "row 1 has fewer" --start bad.csv
printf '1,2,3\n1,2,3\n' >bad.csv
mistake 1 "must name the columns" --start bad.csv
printf 'p,q\n1,2\n' >bad.csv
mistake 1 "2 columns; input 'a' has 3" --start bad.csv
mistake 1 "nothing to search" --fix all
finish
