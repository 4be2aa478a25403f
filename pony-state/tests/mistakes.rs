//! What the derives say of mistakes in a declaration, and where they point: each file below `mistakes/` makes some,
//! and its `.stderr` is what the compiler answers. After a change that should show there: `TRYBUILD=overwrite`.

#[test]
fn mistakes_are_pointed_at() {
    trybuild::TestCases::new().compile_fail("tests/mistakes/*.rs");
}
