declare module 'virtual:licences' {
  interface Licence {
    name: string
    version: string
    licence: string
  }
  const all: { page: Licence[]; programs: Licence[] }
  export default all
}
