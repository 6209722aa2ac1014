#[automatically_derived]
impl ::keylatch::KeyPart for Id {
    fn write_key(&self, key: &mut ::keylatch::KeyWriter) {
        ::keylatch::KeyPart::write_key(&self.0, key);
    }
}
