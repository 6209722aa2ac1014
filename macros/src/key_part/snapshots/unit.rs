#[automatically_derived]
impl ::keylatch::KeyPart for Unit {
    fn write_key(&self, key: &mut ::keylatch::KeyWriter) {
        key.open();
        key.close();
    }
}
