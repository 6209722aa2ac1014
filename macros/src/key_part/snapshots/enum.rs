#[automatically_derived]
impl ::keylatch::KeyPart for Scope {
    fn write_key(&self, key: &mut ::keylatch::KeyWriter) {
        match self {
            Self::All => key.name("All"),
            Self::Shop { 0: field_0 } => {
                key.name("Shop");
                key.open();
                key.item(field_0);
                key.close();
            }
            Self::Area { x: field_0, y: field_1 } => {
                key.name("Area");
                key.open();
                key.item(field_0);
                key.item(field_1);
                key.close();
            }
        }
    }
}
