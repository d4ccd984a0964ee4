package object
import ("testing";"os";"fmt")
func TestDump(t *testing.T){
 for _, f := range []string{"many","manyDCORE","manyDCOREDEXTERNS","manyeb"} {
  h,_:=os.Open("/tmp/ob/"+f+".o")
  o,err:=Read(f,h)
  if err!=nil { t.Error(f, err); continue }
  if f=="manyDCOREDEXTERNS" { fmt.Println(FormatAsm(o)); for _,p:=range o.Programs { fmt.Println(p.Name,p.CORE,p.BTF, p.Attach, len(p.Lines))}; fmt.Println(o.Externs) }
 }
}
